"""Multi-objective local search: change one coordinate of a point of the front."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import unknown_name
from ..evaluation.pareto import is_front
from .base import TRIES, Points, Sampler, Searcher, Values

Neighbourhood = Literal["resample", "step"]


class LocalSearch(Searcher):
    """Takes a random point of the front found so far and changes one random coordinate of it.

    Args:
        neighbourhood: how a coordinate changes. `"resample"`: to any other value, each as likely, as in the paper.
            `"step"`: up or down by a step between 1 and half the range, log-uniform, so that fine and coarse changes of
            a coordinate with thousands of values are as frequent.

    Points asked before are passed over, which the paper's code does not do: it spends evaluations on them. And of
    points with equal values one stays on the front; in the paper's code they remove each other.

    Source: Klein et al., TMLR 2024, section 4 (LS).
    """

    name = "local"

    def __init__(
        self,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        num_objectives: int,
        seed: int,
        initial: ArrayLike | None = None,
        sampler: Sampler | None = None,
        neighbourhood: Neighbourhood = "resample",
    ) -> None:
        super().__init__(lower, upper, num_objectives=num_objectives, seed=seed, initial=initial, sampler=sampler)
        if neighbourhood not in get_args(Neighbourhood):
            raise unknown_name("neighbourhood", neighbourhood, get_args(Neighbourhood))
        self.neighbourhood = neighbourhood
        self._free = np.flatnonzero(self.lower < self.upper)
        self._xs: Points = np.empty((0, len(self.lower)), dtype=np.int64)
        self._values: Values = np.empty((0, num_objectives))

    def _suggest(self, n: int) -> list[Points]:
        return [self._neighbour() for _ in range(n)]

    def _neighbour(self) -> Points:
        for _ in range(TRIES if len(self._xs) else 0):
            x = self._xs[self._rng.integers(len(self._xs))].copy()
            i = self._rng.choice(self._free)
            x[i] = self._changed(int(x[i]), int(self.lower[i]), int(self.upper[i]))
            if self._claim(x):
                return x
        return self._random_point()  # nothing told yet, or the front's neighbours are all known

    def _changed(self, value: int, low: int, high: int) -> int:
        if self.neighbourhood == "resample":
            other = int(self._rng.integers(low, high))  # one value fewer: the present one is left out
            return other + (other >= value)
        step = int(np.exp(self._rng.uniform(0, np.log(max(1.0, (high - low) / 2)))))
        down, up = max(low, value - step), min(high, value + step)
        return down if up == value or (down != value and self._rng.random() < 0.5) else up

    def _observe(self, xs: Points, values: Values) -> None:
        usable = np.isfinite(values).all(axis=1)
        all_xs = np.concatenate([self._xs, xs[usable]])
        all_values = np.concatenate([self._values, values[usable]])
        front = is_front(all_values)
        self._xs, self._values = all_xs[front], all_values[front]

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"xs": self._xs, "values": self._values}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._xs, self._values = arrays["xs"].astype(np.int64), arrays["values"]
