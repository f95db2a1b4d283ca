"""How CoFi trains; descriptions are the command line's help."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from ...supernet.training.settings import MOST, Precision, TrainingSettings

Matching = Literal["free", "ordered"]
Distillation = Literal["layers", "predictions", "none"]


class CoFiSettings(TrainingSettings):
    """How masks are learnt and what they leave is trained.

    The authors' logits move by 0.01 in each of tens of thousands of steps. Trainings of 1000 to 3000 steps need larger
    rates: with these the expected sparsity of MiniLM is within 0.002 of its target some hundred steps after the rise.
    """

    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate of the weights")] = 1e-4
    distil_epochs: Annotated[float, Field(ge=0, le=MOST, description="passes over the training split before masks")] = (
        0.1
    )
    epochs: Annotated[float, Field(gt=0, le=MOST, description="passes in which masks and weights are learnt")] = 1.0
    final_epochs: Annotated[float, Field(ge=0, le=MOST, description="passes in which what is left is trained")] = 0.5
    least_steps: Annotated[
        int,
        Field(
            ge=0, le=MOST, description="optimiser steps in all at least; a smaller task gets more epochs of each kind"
        ),
    ] = 2000
    target_warmup: Annotated[
        float, Field(ge=0, le=1, description="share of `epochs` in which the sparsity's target rises")
    ] = 0.5
    mask_learning_rate: Annotated[float, Field(gt=0, description="of the masks' logits")] = 0.1
    multiplier_learning_rate: Annotated[float, Field(gt=0, description="of the Lagrangian's multipliers")] = 0.3
    final_learning_rate: Annotated[
        float, Field(gt=0, description="peak rate of the last phase, at whose end it is 0")
    ] = 1e-4
    checks: Annotated[
        int,
        Field(
            ge=0, le=MOST, description="looks at the selection split in the last phase, whose best is kept; 0: the last"
        ),
    ] = 5
    distillation: Annotated[
        Distillation, Field(description="what the fine-tuned model teaches; labels alone teach if none")
    ] = "layers"
    layer_weight: Annotated[float, Field(ge=0, description="weight of the layers' distillation")] = 0.9
    prediction_weight: Annotated[float, Field(ge=0, description="weight of the predictions' distillation")] = 0.1
    temperature: Annotated[float, Field(gt=0, description="distillation temperature")] = 2.0
    matching: Annotated[
        Matching, Field(description="teacher's layers teach the nearest layer, or the nearest below the one before")
    ] = "ordered"
    precision: Annotated[
        Precision, Field(description="auto: bfloat16 where the hardware multiplies in it, else float32")
    ] = "auto"


@dataclass(frozen=True)
class Schedule:
    """Optimiser steps of each phase.

    Attributes:
        distil: with everything open.
        prune: in which masks are learnt.
        rise: of these, the first in which the target rises.
        final: in which what is left is trained.
        per_epoch: of one pass over the texts.
    """

    distil: int
    prune: int
    rise: int
    final: int
    per_epoch: int

    @property
    def pruned(self) -> int:
        """The step at which masks are fixed."""
        return self.distil + self.prune

    @property
    def total(self) -> int:
        """All steps."""
        return self.pruned + self.final

    def moments(self, count: int) -> set[int]:
        """Return the numbers of steps at equal shares of the last phase, its end among them."""
        count = min(count, self.final)
        return {self.pruned + round(self.final * (i + 1) / count) for i in range(count)}

    @classmethod
    def of(cls, settings: CoFiSettings, texts: int) -> Schedule:
        """Turn epochs over so many texts into steps."""
        per_epoch = math.ceil(texts / settings.batch_size)
        epochs = (settings.distil_epochs, settings.epochs, settings.final_epochs)
        stretched = max(1.0, settings.least_steps / (sum(epochs) * per_epoch))
        distil, prune, final = (round(part * per_epoch * stretched) for part in epochs)
        prune = max(1, prune)
        return cls(distil, prune, round(settings.target_warmup * prune), final, per_epoch)
