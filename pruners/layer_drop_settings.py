"""What dropping layers and training the others is told; descriptions are the command line's help."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from ..supernet.training.settings import MOST, FinetuneSettings

Side = Literal["top", "bottom", "alternate"]


class LayerDropSettings(FinetuneSettings):
    """Which layers go, and how the others are trained: as long as the authors', or as other methods' native recipes."""

    side: Annotated[Side, Field(description="which layers go first: the last, the first, or every other one")] = "top"
    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes over the training split")] = 3.0
    least_steps: Annotated[
        int, Field(ge=0, le=MOST, description="optimiser steps at least; a smaller task gets more epochs")
    ] = 2000

    def stretched(self, texts: int) -> LayerDropSettings:
        """Return these settings with as many epochs as so many texts need to reach the least number of steps."""
        per_epoch = math.ceil(texts / self.batch_size)
        return self.model_copy(update={"epochs": max(self.epochs, self.least_steps / per_epoch)})
