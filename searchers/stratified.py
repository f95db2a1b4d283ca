"""Random search that covers all sizes evenly."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .base import Searcher
from .box import Box, Points, Values

# Candidates drawn for each point asked: among so many, one is close to any size.
_CANDIDATES = 8
# Directions of the box in which the told costs vary by less than this share say nothing: they are noise.
_RESOLUTION = 1e-3


class Stratified(Searcher):
    """Draws one random point from each of equally wide strata of size, then again: every size is tried as often.

    Uniform points of a box of many coordinates are all of about half size, and even draws of uniform size leave gaps.
    Each round draws several candidates per stratum, from `sampler` or with a random size of their own, and
    takes for a random target size in each stratum, in random order, the candidate closest to it.

    A searcher sees integers and numbers, so size is what it can tell from them: the place along the box's diagonal
    (the mean of the coordinates, each scaled to 0..1), or, with `by_cost`, the last objective as a linear function of
    the coordinates, fitted to the results by least squares. Of all fits it is the one of smallest norm, which is the
    diagonal again as long as only the initial points are known.

    Args:
        strata: points of a round.
        by_cost: cover the values of the last objective evenly; else the diagonal.

    Source: own; stratified sampling is Neyman, J. R. Statist. Soc. 1934.
    """

    name = "stratified"
    remembers = ("planned", "xs", "costs")

    def __init__(self, box: Box, *, strata: int = 10, by_cost: bool = False) -> None:
        super().__init__(box)
        if strata < 1:
            raise InputError(f"stratified draws need at least one stratum, got {strata=}")
        self.strata = strata
        self.by_cost = by_cost
        self._planned = self._xs = box.no_results()[0]
        self._costs: Values = np.empty(0)

    def _next(self) -> Points:
        for _ in range(2 * self.strata):
            if not len(self._planned):
                self._planned = self._round()
            x, self._planned = self._planned[0], self._planned[1:]
            if self._claim(x):
                return x
        return self._random_point()

    def _round(self) -> Points:
        """Return `(strata, d)` points, one for each stratum, in random order."""
        candidates = np.array([self._candidate() for _ in range(_CANDIDATES * self.strata)])
        sizes = self._sizes(candidates)
        targets = (self._rng.permutation(self.strata) + self._rng.random(self.strata)) / self.strata
        targets = sizes.min() + np.ptp(sizes) * targets
        chosen: list[int] = []
        for target in targets:
            distance = np.abs(sizes - target)
            distance[chosen] = np.inf
            chosen.append(int(np.argmin(distance)))
        return candidates[chosen]

    def _candidate(self) -> Points:
        if self.box.sampler is not None:
            return self.box.draw(self._rng)
        # The mean of u**g is 1 / (1 + g), so that this g gives a point of about the size drawn.
        size = self._rng.uniform(1e-6, 1)
        box = self.box
        shares = self._rng.random(box.dimensions) ** ((1 - size) / size)
        return np.minimum(box.lower + ((box.upper - box.lower + 1) * shares).astype(np.int64), box.upper)

    def _sizes(self, xs: Points) -> Values:
        """Return the size, or the expected cost, of each point, `(n,)`."""
        shares = self.box.shares(xs)
        if len(self._costs) < 2 or not np.ptp(self._costs):
            return shares.mean(axis=1)
        told = self.box.shares(self._xs)
        centre = told.mean(axis=0)
        slopes = np.linalg.lstsq(told - centre, self._costs - self._costs.mean(), rcond=_RESOLUTION)[0]
        return (shares - centre) @ slopes

    def _observe(self, xs: Points, values: Values) -> None:
        if not self.by_cost:
            return
        known = np.isfinite(values[:, -1])
        self._xs = np.concatenate([self._xs, xs[known]])
        self._costs = np.concatenate([self._costs, values[known, -1]])
