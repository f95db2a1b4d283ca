"""What the trainings of the model and of the supernet can be told."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ...supernet.training.settings import MOST, FinetuneSettings, SupernetSettings, TrainingSettings
from .base import Settings

_EPOCHS, _MOST = 3.0, 10.0
# Of a few thousand texts three passes leave a small model unlearnt, and all that is cut from it.
_STEPS = 500
# So does a large model's rate, where there is much to learn.
_SMALL, _FAST, _SLOW = 384, 1e-4, 5e-5


class TrackingSettings(Settings):
    """Where else a training's curves go; it does not change what is trained."""

    report_to: Annotated[
        str | None,
        Field(description="draw the training's curves with these, comma-separated: tensorboard, wandb, mlflow"),
    ] = None


class FinetuneRecipe(FinetuneSettings):
    """How a pre-trained model is fine-tuned, all of it told.

    Attributes:
        minutes: end after so many; None: not before the epochs do.
    """

    minutes: float | None = None


class FinetuneOptions(TrainingSettings):
    """How a pre-trained model is fine-tuned."""

    learning_rate: Annotated[
        float | None,
        Field(
            gt=0,
            description=f"AdamW's peak learning rate; if not given {_SLOW:g}, or {_FAST:g} where hidden states have at "
            f"most {_SMALL} dimensions",
        ),
    ] = None
    epochs: Annotated[
        float | None,
        Field(
            gt=0,
            le=MOST,
            description=f"passes over the training split; if not given {_EPOCHS:g}, or of few texts as many as "
            f"{_STEPS} steps take, at most {_MOST:g}",
        ),
    ] = None

    minutes: Annotated[
        float | None,
        Field(gt=0, le=MOST, description="train no longer: the rate has come down by then, whatever epochs are left"),
    ] = None

    def recipe(self, texts: int, hidden_size: int) -> FinetuneRecipe:
        """Return the training on so many texts of a model whose hidden states have so many dimensions."""
        usual = {
            "epochs": max(_EPOCHS, min(_MOST, _STEPS / math.ceil(texts / self.batch_size))),
            "learning_rate": _FAST if hidden_size <= _SMALL else _SLOW,
        }
        return FinetuneRecipe(**{**usual, **self.model_dump(exclude_none=True)})


class FinetuneVerb(FinetuneOptions, TrackingSettings):
    """What `Run.finetune` takes."""


class SupernetVerb(SupernetSettings, TrackingSettings):
    """What `Run.train_supernet` takes."""
