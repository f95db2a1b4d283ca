"""MOEA/D with pymoo's operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.pareto import is_front
from .box import Box, Points, Values
from .genetic import GeneticSearcher, reference_directions

# Chance that both parents come from one neighbourhood, and how many of the directions that is: the paper's 20 of 100 to
# 300, and somewhat more because with 15 or 20 directions the same few would be mated again and again.
_NEAR = 0.9
_NEIGHBOURS = 0.25


class MOEAD(GeneticSearcher):
    """Splits the search into one scalar problem per direction of weights; neighbours in direction are mated.

    Each direction keeps the point that is best for it: by Chebyshev distance to the best values with up to two
    objectives, by penalised boundary intersection (penalty 5) with more, pymoo's choice. One point is bred at a time.

    Objectives are scaled from the best value to the front's worst, as the paper advises and pymoo leaves out: with an
    error below one and parameters in millions, all directions but one would mean parameters. A new point may replace
    any direction's (the paper: any neighbour's), so that results count the same in whatever order they come and
    whoever asked for them.

    Source: Zhang and Li, "MOEA/D: A multiobjective evolutionary algorithm based on decomposition", IEEE TEC 2007;
    replacement anywhere: Wang et al., "Adaptive replacement strategies for MOEA/D", IEEE Trans. Cybernetics 2016.
    """

    name = "moead"
    steady = True

    def __init__(self, box: Box, *, population: int = 20) -> None:
        super().__init__(box, population=population)
        self._directions = reference_directions(box.num_objectives, population)
        between = np.linalg.norm(self._directions[:, None] - self._directions, axis=2)
        count = max(3, round(_NEIGHBOURS * len(between)))
        self._neighbours = np.argsort(between, axis=1, kind="stable")[:, :count]

    def _generation(self, values: Values, offspring: int) -> tuple[NDArray[np.int64], Points]:
        costs = self._costs(values)
        holders = np.argmin(costs, axis=0)
        if self.box.num_objectives == 1:  # all directions are one: the best points, then
            holders = np.argsort(costs[:, 0], kind="stable")[: self.population]
        pairs = np.array([self._pair(holders) for _ in range(offspring)])
        # Two at least, even if one point is the best for all: a child needs parents.
        survivors = np.union1d(holders, np.argsort(costs.mean(axis=1), kind="stable")[:2])
        return survivors, self._operators.offspring(self._xs, pairs, self._rng)

    def _costs(self, values: Values) -> Values:
        """Return `(n, number of directions)`, lower is better."""
        ideal = values.min(axis=0)
        extent = values[is_front(values)].max(axis=0) - ideal
        scaled = (values - ideal) / np.where(extent > 0, extent, 1.0)
        weights = np.maximum(self._directions, 1e-6)  # or a direction along an axis sees nothing of the others
        return self._decomposition().do(scaled, weights, _type="many_to_many")

    def _decomposition(self) -> Any:
        from pymoo.decomposition.pbi import PBI
        from pymoo.decomposition.tchebicheff import Tchebicheff

        return Tchebicheff() if self.box.num_objectives <= 2 else PBI()

    def _pair(self, holders: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return two parents, different ones if there are two."""
        near = np.arange(len(holders))
        if len(holders) == len(self._neighbours) and self._rng.random() < _NEAR:
            near = self._neighbours[self._rng.integers(len(holders))]
        candidates = np.unique(holders[near])
        return self._rng.choice(candidates, 2, replace=len(candidates) < 2)
