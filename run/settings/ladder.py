"""What a ladder can be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ...supernet.training.settings import MOST
from .base import as_text
from .recovery import RecoverOptions
from .training import TrackingSettings

SHARES = "3/4,1/2,1/4,1/6,1/10"  # of a ladder
BLOCKS = "blocks"  # in place of an importance


class LadderSettings(RecoverOptions):
    """Which rungs a ladder has, and how each is trained."""

    shares: Annotated[
        str | None,
        Field(
            description=f"the rungs' shares of the encoder's parameters; {SHARES} if not given, without those that are "
            "too small for any network"
        ),
    ] = None
    latency_ms: Annotated[
        str | None,
        BeforeValidator(as_text),
        Field(description="rungs of at most so many milliseconds instead, as the latency table predicts: 8,4,2"),
    ] = None
    minutes: Annotated[float | None, Field(gt=0, le=MOST, description="for all rungs together, instead of steps")] = (
        None
    )
    steps: Annotated[
        int,
        Field(
            ge=1,
            le=MOST,
            description="optimiser steps of a rung of half the encoder; smaller ones get more of theirs, which are "
            "cheaper, so that all take about as long",
        ),
    ] = 200
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 1e-4
    importance: Annotated[
        str,
        Field(
            description=f"which units stay: `{BLOCKS}`, those that others of their block cannot make up for, so many "
            "in each that least is lost in all (as `ziplm`), or those that a score ranks highest"
        ),
    ] = BLOCKS


class LadderVerb(LadderSettings, TrackingSettings):
    """What `Run.ladder` takes."""
