"""The rungs of a ladder, as people and programs read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..telling import duration
from .columns import Column
from .front import Front


@dataclass(frozen=True, eq=False, repr=False)
class Ladder(Front):
    """Rungs, the largest first.

    Attributes:
        kept: the shares of the encoder's parameters that were asked for, or what a rung of another budget keeps.
        seconds: what each took, without the rungs above it.
    """

    kept: Sequence[float] = ()
    seconds: Sequence[float] = ()

    @property
    def columns(self) -> list[Column]:
        """The rungs as a table."""
        return [*super().columns, Column("took", [duration(seconds) for seconds in self.seconds])]

    def facts(self) -> list[dict[str, Any]]:
        """Return what is known of each rung, JSON-ready."""
        rungs = zip(self, self.kept, self.seconds, strict=True)
        return [{"share": round(kept, 6), **model.facts(), "seconds": round(took, 3)} for model, kept, took in rungs]
