"""What the trainings of the model and of the supernet can be told."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

from ...supernet.training.settings import FinetuneSettings, SupernetSettings, TrainingSettings
from .base import Settings

_EPOCHS, _MOST = 3.0, 10.0
# Of a few thousand texts three passes leave a small model unlearnt, and all that is cut from it.
_STEPS = 500


class TrackingSettings(Settings):
    """Where else a training's curves go; it does not change what is trained."""

    report_to: Annotated[
        str | None,
        Field(description="draw the training's curves with these, comma-separated: tensorboard, wandb, mlflow"),
    ] = None


class FinetuneOptions(TrainingSettings):
    """How a pre-trained model is fine-tuned."""

    epochs: Annotated[
        float | None,
        Field(
            gt=0,
            description=f"passes over the training split; if not given {_EPOCHS:g}, or of few texts as many as "
            f"{_STEPS} steps take, at most {_MOST:g}",
        ),
    ] = None

    def recipe(self, texts: int) -> FinetuneSettings:
        """Return the training of a split of so many texts."""
        usual = max(_EPOCHS, min(_MOST, _STEPS / math.ceil(texts / self.batch_size)))
        shared = self.model_dump(include=set(FinetuneSettings.model_fields))
        return FinetuneSettings(**{**shared, "epochs": self.epochs or usual})


class FinetuneVerb(FinetuneOptions, TrackingSettings):
    """What `Run.finetune` takes."""


class SupernetVerb(SupernetSettings, TrackingSettings):
    """What `Run.train_supernet` takes."""
