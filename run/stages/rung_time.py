"""How the minutes of a ladder are shared out among what its rungs are made of."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

_CHOOSING = 1 / 3  # of a rung's minutes, at most, are for looking at more than one cut


class RungTime:
    """The time that a rung may take; begins when it is made.

    Smaller rungs have more to learn: what is left of the minutes goes to the rungs by the inverse roots of their sizes.
    Cutting takes its time before that, the more the larger what is cut, and scoring behind it.

    Args:
        ends: when all rungs are to be made, on the monotonic clock.
        above: the size of what the rung is cut from, in any unit.
        sizes: of this rung and of those that are still to be made after it, each cut from the one before.
        scoring: seconds that a rung's scoring takes.
    """

    def __init__(self, ends: float, above: float, sizes: Sequence[float], scoring: float) -> None:
        self._ends, self._above, self._sizes, self._scoring = ends, above, sizes, scoring
        parts = [1 / math.sqrt(size) for size in sizes]
        self._part = parts[0] / sum(parts)
        self._begin = time.monotonic()

    @property
    def choosing_ends(self) -> float:
        """When no further cut is to be looked at."""
        return self._begin + _CHOOSING * self._part * (self._ends - self._begin)

    def training(self) -> float:
        """Return the seconds that are left to train, now that the rung is cut; not below 0."""
        now = time.monotonic()
        cuts = sum(math.sqrt(size / self._above) for size in self._sizes[:-1]) * (now - self._begin)
        return max(0.0, self._ends - now - cuts - len(self._sizes) * self._scoring) * self._part
