"""Settings of the two training stages; their descriptions are the command line's help."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# Of passes, steps, minutes or texts: no training has as many, and numbers beyond any use overflow somewhere.
MOST = 10**8
Precision = Literal["auto", "float32", "bfloat16"]
DropoutOn = Literal["all", "largest", "none"]


class TrainingSettings(BaseModel):
    """What all trainings are told."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    batch_size: Annotated[int, Field(ge=1, le=MOST, description="texts per optimiser step, over all processes")] = 32
    warmup: Annotated[float, Field(ge=0, le=1, description="share of the steps in which the rate rises")] = 0.06
    weight_decay: Annotated[float, Field(ge=0, description="AdamW's weight decay, biases and LayerNorms excluded")] = (
        0.01
    )
    save_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints for resuming")] = 60.0


class FinetuneSettings(TrainingSettings):
    """How a pre-trained model is fine-tuned."""

    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 5e-5
    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes over the training split")] = 3.0


class RecoverySettings(FinetuneSettings):
    """How a pruned model is trained for a moment, every method's in the same way."""

    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes over the training split; may be a fraction")] = (
        1.0
    )


class SupernetSettings(TrainingSettings):
    """How the supernet is trained."""

    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 2e-4
    steps: Annotated[int, Field(ge=1, le=MOST, description="optimiser steps, however many texts there are")] = 500
    epochs: Annotated[
        float | None, Field(gt=0, le=MOST, description="passes over the training split, in place of a number of steps")
    ] = None
    strategy: Annotated[str, Field(description="which subnetworks a step trains, and on what")] = "distil"
    space: Annotated[str, Field(description="the search space")] = "small"
    elastic_hidden: Annotated[bool, Field(description="also search the width of the residual stream")] = False
    importance: Annotated[
        str, Field(description="sort heads and neurons by this score before training, the best first; or none")
    ] = "gradient"
    layers: Annotated[
        Literal["measured", "first"],
        Field(
            description="which layers spaces that count layers keep: those without which outputs change most, or the "
            "first ones, as in the paper"
        ),
    ] = "measured"
    k: Annotated[int, Field(ge=1, le=1000, description="random subnetworks per step")] = 2
    sampling: Annotated[
        Literal["size", "paper"],
        Field(description="draw subnetworks uniformly in size, or coordinate by coordinate as the paper does"),
    ] = "size"
    temperature: Annotated[
        float | None,
        Field(gt=0, description="distillation temperature; if not given 2 with `distil`, else 10 as in the paper"),
    ] = None
    label_weight: Annotated[
        float, Field(ge=0, description="weight of the labels' loss beside distillation (1 in the paper)")
    ] = 1.0
    dropout: Annotated[DropoutOn, Field(description="which subnetworks of a step are trained with dropout")] = "largest"
    clip: Annotated[float, Field(ge=0, description="largest norm of a step's gradient; 0 leaves it alone")] = 1.0
    precision: Annotated[
        Precision, Field(description="auto: bfloat16 where the hardware multiplies in it, else float32")
    ] = "auto"

    def total_steps(self, rows: int) -> int:
        """Return how many optimiser steps it takes on a training split of so many texts."""
        if self.epochs is None:
            return self.steps
        return max(1, round(self.epochs * math.ceil(rows / self.batch_size)))

    @property
    def length(self) -> str:
        """How long it trains, in words."""
        return f"{self.steps} steps" if self.epochs is None else f"{self.epochs:g} epochs"
