"""Multi-objective local search: change one coordinate of a point of the front."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..errors import unknown_name
from ..evaluation.pareto import is_front
from .base import TRIES, Searcher
from .box import Box, Points, Values

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
    remembers = ("xs", "values")

    def __init__(self, box: Box, *, neighbourhood: Neighbourhood = "resample") -> None:
        super().__init__(box)
        if neighbourhood not in get_args(Neighbourhood):
            raise unknown_name("neighbourhood", neighbourhood, get_args(Neighbourhood))
        self.neighbourhood = neighbourhood
        self._xs, self._values = box.no_results()

    def _next(self) -> Points:
        for _ in range(TRIES if len(self._xs) else 0):
            x = self._xs[self._rng.integers(len(self._xs))].copy()
            i = self._rng.choice(self.box.free)
            x[i] = self._changed(int(x[i]), int(self.box.lower[i]), int(self.box.upper[i]))
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
