"""What a refit and a recovery can be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ...supernet.training.settings import MOST
from .base import Settings


class RecoverOptions(Settings):
    """How a model that was cut out is distilled from the whole one."""

    # Chosen by benchmarks/recovery.py on the selection split.
    steps: Annotated[int, Field(ge=1, le=MOST, description="optimiser steps")] = 1000
    minutes: Annotated[float | None, Field(gt=0, le=MOST, description="for so many, instead of steps")] = None
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 5e-5
    batch_size: Annotated[int, Field(ge=1, le=MOST, description="texts per step")] = 32
    save_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints for resuming")] = 60.0


class RefitSettings(Settings):
    """What outgoing maps are solved for anew on."""

    texts: Annotated[int, Field(ge=1, le=MOST, description="of the training split, without their labels")] = 512
