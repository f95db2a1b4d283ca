"""Multi-objective regularised evolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .base import TRIES, Searcher
from .box import Box, Points, Values
from .results import latest, preference


class MOREA(Searcher):
    """Changes one coordinate of the best of a few random points of the population, whose oldest points die.

    The best is the one of lowest non-dominated rank; within a front, points are ordered so that each is the farthest
    from those before it, the first being the best of the first objective.

    Built anew, not on Syne Tune 0.16, whose version cannot be driven: its random points ignore the seed, and its
    priorities are the order of the points taken for their ranks, so that parents are as good as random (three points of
    rank 2, 0, 1 get 1, 2, 0). Its distances are in the objectives' own units; here they are scaled.

    Age is counted in asked points that were told, so that the many results which one pass brings along with the one
    asked for do not push all others out: they live and die with it.

    Args:
        population: results of how many asked points are alive; before there are so many, points are random. 100 in the
            paper, for searches of twenty thousand.
        sample: how many points compete to be the parent. A quarter of the population, as in the paper.

    Source: Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019; order within a
    front: Salinas et al., "A multi-objective perspective on jointly tuning hardware and hyperparameters", 2021.
    """

    name = "morea"
    remembers = ("xs", "values", "born", "clock")

    def __init__(self, box: Box, *, population: int = 20, sample: int = 5) -> None:
        super().__init__(box)
        if population < 1 or sample < 1:
            raise InputError(f"'morea' needs a population and a sample of at least 1, got {population=}, {sample=}")
        self.population = population
        self.sample = sample
        self._xs, self._values = box.no_results()
        self._born: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._clock = np.array(0)
        self._pending: set[bytes] = set()

    def ask(self, n: int) -> Points:
        """Return the next `(n, d)` points to evaluate."""
        xs = super().ask(n)
        self._pending.update(x.tobytes() for x in xs)
        return xs

    def _next(self) -> Points:
        if self._clock < self.population or not len(self._xs):
            return self._random_point()
        ranks = np.argsort(preference(self._values))
        for _ in range(TRIES):
            rivals = self._rng.integers(len(ranks), size=self.sample)
            x = self._xs[rivals[np.argmin(ranks[rivals])]].copy()
            i = self._rng.choice(self.box.free)
            # One value fewer: the present one is left out.
            other = self._rng.integers(self.box.lower[i], self.box.upper[i])
            x[i] = other + (other >= x[i])
            if self._claim(x):
                return x
        return self._random_point()

    def _observe(self, xs: Points, values: Values) -> None:
        asked = {x.tobytes() for x in xs} & self._pending
        self._pending -= asked
        usable = np.isfinite(values).all(axis=1)
        self._clock += len({x.tobytes() for x in xs[usable]} & asked)
        pool = np.concatenate([self._xs, xs[usable]])
        born = np.concatenate([self._born, np.full(int(usable.sum()), self._clock)])
        keep = latest(pool)
        keep = keep[born[keep] > self._clock - self.population]
        self._xs, self._born = pool[keep], born[keep]
        self._values = np.concatenate([self._values, values[usable]])[keep]

    def _state(self) -> dict[str, NDArray[Any]]:
        pending = np.frombuffer(b"".join(sorted(self._pending)), dtype=np.int64)
        return {**super()._state(), "pending": pending.reshape(-1, self.box.dimensions)}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        super()._restore(arrays)
        self._pending = {x.tobytes() for x in arrays["pending"].astype(np.int64)}
