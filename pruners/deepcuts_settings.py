"""What DeepCuts is told; descriptions are the command line's help."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..supernet.training.settings import MOST, FinetuneSettings


class DeepCutsSettings(FinetuneSettings):
    """How what stays is trained: the authors' epochs; the rest suits smaller models than theirs."""

    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes over the training split")] = 8.0
    batch_size: Annotated[int, Field(ge=1, le=MOST, description="texts per optimiser step")] = 16


RETRAINING = DeepCutsSettings()
