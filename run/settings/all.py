"""What a run of all stages can be told."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ...supernet.training.settings import MOST
from .base import Settings

_SKIPPED = ("search", "ladder")


def _skipped(text: str) -> str:
    for name in filter(None, text.split(",")):
        if name not in _SKIPPED:
            raise ValueError(f"expected {' or '.join(_SKIPPED)}")
    if {*text.split(",")} >= {*_SKIPPED}:
        raise ValueError("one of them must be left")
    return text


class AllSettings(Settings):
    """What a run of all stages does, and how long it may take."""

    minutes: Annotated[
        float | None,
        Field(
            gt=0,
            le=MOST,
            description="about so many for all stages: fine-tuning takes at most half of them, a ladder what that "
            "leaves, and there is no search",
        ),
    ] = None
    skip: Annotated[
        str,
        AfterValidator(_skipped),
        Field(description="a stage to leave out: `search`, with its supernet, or `ladder`"),
    ] = ""

    @property
    def skipped(self) -> set[str]:
        """The stages that are left out."""
        return {*self.skip.split(",")} | ({"search"} if self.minutes is not None else set())
