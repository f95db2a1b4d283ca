"""What block-structured pruning is told; descriptions are the command line's help."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from ...supernet.packed import Scheme
from ...supernet.training.settings import MOST, FinetuneSettings

Selection = Literal["matrix", "global"]


class BlockLassoSettings(FinetuneSettings):
    """How groups of weights are driven to zero, which of them are removed, and how the others are trained."""

    # Under AdamW a weight moves by at most the sum of the rates, which has to be as large as weights are: with MiniLM
    # on SST-2, 300 steps at 5e-5 hardly changed the norms, 600 at 2e-4 made a quarter of the groups vanish. At that
    # rate a penalty of 40 kept 83.6 % correct at half of the groups, after 300 steps of retraining; one of 400, 79.8 %.
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate in both trainings")] = 1e-4
    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes over the training split under the penalty")] = 3.0
    retraining_epochs: Annotated[float, Field(ge=0, le=MOST, description="passes in which what is left is trained")] = (
        3.0
    )
    least_steps: Annotated[
        int,
        Field(ge=0, le=MOST, description="optimiser steps of both together at least; a smaller task gets more epochs"),
    ] = 3000
    scheme: Annotated[Scheme, Field(description="a group is a row, or a column, inside one slab")] = "row"
    width: Annotated[int | None, Field(ge=1, le=MOST, description="weights of a group; must divide every matrix")] = (
        None
    )
    slabs: Annotated[int | None, Field(ge=1, le=MOST, description="slabs of each matrix, instead of their width")] = (
        None
    )
    head: Annotated[bool, Field(description="also prune the dense layer of the head")] = False
    penalty: Annotated[
        float,
        Field(ge=0, description="its value whenever it is reweighted, whatever the number of groups; 0: a control"),
    ] = 40.0
    distillation: Annotated[
        bool, Field(description="the fine-tuned model teaches both trainings, beside the labels")
    ] = False
    epsilon: Annotated[float, Field(gt=0, description="added to a group's norm in its penalty's weight")] = 1e-3
    reweightings: Annotated[
        int, Field(ge=1, le=MOST, description="how often the penalty follows the norms, at equal shares of its epochs")
    ] = 4
    selection: Annotated[
        Selection, Field(description="every matrix loses the same share of groups, or the weakest of all go")
    ] = "matrix"

    def stretched(self, texts: int) -> BlockLassoSettings:
        """Return these settings with as many epochs as so many texts need to reach the least number of steps."""
        steps = (self.epochs + self.retraining_epochs) * math.ceil(texts / self.batch_size)
        factor = max(1.0, self.least_steps / steps)
        longer = {"epochs": self.epochs * factor, "retraining_epochs": self.retraining_epochs * factor}
        return self.model_copy(update=longer)

    @property
    def retraining(self) -> FinetuneSettings | None:
        """How what is left is trained; None if it is not."""
        if not self.retraining_epochs:
            return None
        shared = self.model_dump(include=set(FinetuneSettings.model_fields))
        return FinetuneSettings(**{**shared, "epochs": self.retraining_epochs})
