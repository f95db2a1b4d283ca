"""Multi-objective asynchronous successive halving: random points, of which the hopeless are stopped over epochs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .base import Searcher
from .box import Box, Points, Values
from .results import preference

REDUCTION = 3  # only the best third of what came to a rung goes on, and rungs are so many times as far apart


class MOASHA(Searcher):
    """Draws points as :class:`RandomSearch` does, and says after each epoch of one whether it is worth another.

    Rungs are the epochs 1, 3, 9, 27, ... (grace period 1, one bracket). A candidate that comes to a rung goes on if it
    is among the best third, rounded up, of all that came to that rung so far and itself; nobody waits for others.
    The caller knows the last epoch.

    Own code because Syne Tune's `MOASHA` (0.16) takes the order of preference, a list of candidates, for a list of
    ranks: of four candidates at a rung with objectives (1, 1), (2, 2), (3, 3) and (0, 0) it stops the last.

    Source: Schmucker, Donini, Zafar, Salinas and Archambeau, "Multi-objective asynchronous successive halving", 2021
    (arXiv:2106.12639), with the epsilon-net ranking; candidates are stopped rather than paused, as Klein et al. (TMLR
    2024) run it.

    Example:
        >>> searcher = MOASHA(Box([0, 1, 1], [6, 12, 1536], num_objectives=2, seed=0))
        >>> x = searcher.ask(1)[0]
        >>> while searcher.keep_going(x, epoch, train_one_epoch_more(x)): ...
    """

    name = "moasha"

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._rungs: dict[tuple[int, tuple[int, ...]], Values] = {}

    def keep_going(self, x: ArrayLike, epoch: int, values: ArrayLike) -> bool:
        """Tell whether a candidate deserves another epoch.

        Asking again about the same candidate and epoch replaces what it said before.

        Args:
            x: `(d,)` int, the candidate.
            epoch: how many epochs it has been trained for, from 1.
            values: `(m,)`, what it is worth now; NaN or an infinity ends it, and is not compared with others.

        Raises:
            InputError: a point outside the box, an epoch below 1, or another number of values.
        """
        point = tuple(int(v) for v in self.box.checked(np.asarray(x)[None], "a candidate")[0])
        row = np.asarray(values, dtype=np.float64)
        if row.shape != (self.box.num_objectives,) or epoch < 1:
            raise InputError(
                f"a candidate needs {self.box.num_objectives} values after an epoch from 1 on, got {row.shape} values "
                f"and {epoch=}"
            )
        if not np.isfinite(row).all():
            return False
        if not _is_rung(epoch):
            return True
        others = [v for (rung, other), v in self._rungs.items() if rung == epoch and other != point]
        self._rungs[epoch, point] = row
        place = preference(np.array([*others, row])).index(len(others))
        return place < math.ceil((len(others) + 1) / REDUCTION)

    def _next(self) -> Points:
        return self._random_point()

    def _state(self) -> dict[str, NDArray[Any]]:
        return {
            "rung_epochs": np.array([epoch for epoch, _ in self._rungs], dtype=np.int64),
            "rung_points": np.array([x for _, x in self._rungs], dtype=np.int64).reshape(-1, self.box.dimensions),
            "rung_values": np.array(list(self._rungs.values())).reshape(-1, self.box.num_objectives),
        }

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        keys = zip(arrays["rung_epochs"].tolist(), map(tuple, arrays["rung_points"].tolist()), strict=True)
        self._rungs = dict(zip(keys, arrays["rung_values"], strict=True))


def _is_rung(epoch: int) -> bool:
    while epoch % REDUCTION == 0:
        epoch //= REDUCTION
    return epoch == 1
