"""What the trainings of the model and of the supernet can be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...supernet.training.settings import FinetuneSettings, SupernetSettings
from .base import Settings


class TrackingSettings(Settings):
    """Where else a training's curves go; it does not change what is trained."""

    report_to: Annotated[
        str | None,
        Field(description="draw the training's curves with these, comma-separated: tensorboard, wandb, mlflow"),
    ] = None


class FinetuneVerb(FinetuneSettings, TrackingSettings):
    """What `Run.finetune` takes."""


class SupernetVerb(SupernetSettings, TrackingSettings):
    """What `Run.train_supernet` takes."""
