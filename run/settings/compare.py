"""What a comparison of methods can be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ...supernet.training.settings import MOST
from .base import as_text
from .training import TrackingSettings


class CompareSettings(TrackingSettings):
    """At which sizes methods are compared, and what their models get before."""

    density: Annotated[
        str | None,
        BeforeValidator(as_text),
        Field(description="budgets, shares of the encoder's parameters; those that were pruned at if not given"),
    ] = None
    refit: Annotated[
        bool,
        Field(
            description="solve for outgoing maps anew, of the models within these budgets, of every method: a layer of "
            "its own, and what a recovery begins with"
        ),
    ] = True
    recover: Annotated[
        int | None,
        Field(ge=1, le=MOST, description="distil the models within these budgets, of every method, for so many steps"),
    ] = None
    recover_epochs: Annotated[
        float | None, Field(gt=0, le=MOST, description="or for so many passes over the training split")
    ] = None
