"""Multi-objective regularised evolution."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ..evaluation.pareto import is_front
from .base import TRIES, Points, Sampler, Searcher, Values
from .genetic import latest, scaled


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

    def __init__(
        self,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        num_objectives: int,
        seed: int,
        initial: ArrayLike | None = None,
        sampler: Sampler | None = None,
        population: int = 20,
        sample: int = 5,
    ) -> None:
        super().__init__(lower, upper, num_objectives=num_objectives, seed=seed, initial=initial, sampler=sampler)
        if population < 1 or sample < 1:
            raise InputError(f"'morea' needs a population and a sample of at least 1, got {population=}, {sample=}")
        self.population = population
        self.sample = sample
        self._free = np.flatnonzero(self.lower < self.upper)
        self._xs: Points = np.empty((0, len(self.lower)), dtype=np.int64)
        self._values: Values = np.empty((0, num_objectives))
        self._born: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._clock = 0
        self._pending: set[bytes] = set()

    def ask(self, n: int) -> Points:
        """Return the next `(n, d)` points to evaluate."""
        xs = super().ask(n)
        self._pending.update(x.tobytes() for x in xs)
        return xs

    def _suggest(self, n: int) -> list[Points]:
        if self._clock < self.population or not len(self._xs):
            return self._random(n)
        ranks = priorities(self._values)
        return [self._child(ranks) for _ in range(n)]

    def _child(self, ranks: NDArray[np.int64]) -> Points:
        for _ in range(TRIES):
            rivals = self._rng.integers(len(ranks), size=self.sample)
            x = self._xs[rivals[np.argmin(ranks[rivals])]].copy()
            i = self._rng.choice(self._free)
            other = self._rng.integers(self.lower[i], self.upper[i])  # one value fewer: the present one is left out
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
        return {
            "xs": self._xs,
            "values": self._values,
            "born": self._born,
            "clock": np.array(self._clock),
            "pending": pending.reshape(-1, len(self.lower)),
        }

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._xs, self._values = arrays["xs"].astype(np.int64), arrays["values"]
        self._born, self._clock = arrays["born"].astype(np.int64), int(arrays["clock"])
        self._pending = {x.tobytes() for x in arrays["pending"].astype(np.int64)}


def priorities(values: Values) -> NDArray[np.int64]:
    """Return the place of each point, `(n,)`, 0 for the best: front after front, each spread out.

    Args:
        values: `(n, m)`, finite.
    """
    values = scaled(values)
    order: list[int] = []
    left = np.arange(len(values))
    while len(left):
        front = is_front(values[left])  # of equal points one; the others come later, as they should
        order += left[front][_spread(values[left[front]])].tolist()
        left = left[~front]
    places = np.empty(len(values), dtype=np.int64)
    places[order] = np.arange(len(values))
    return places


def _spread(values: Values) -> NDArray[np.int64]:
    """Return the indices of points `(n, m)`: the best of the first objective, then each time the farthest from all."""
    order = [int(np.argmin(values[:, 0]))]
    distance = np.linalg.norm(values - values[order[0]], axis=1)
    while len(order) < len(values):
        distance[order] = -np.inf
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(values - values[order[-1]], axis=1))
    return np.array(order)
