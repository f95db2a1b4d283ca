"""NSGA-II with pymoo's operators."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .base import TRIES, Points, Sampler, Searcher, Values


class NSGA2(Searcher):
    """Breeds generations: tournament, simulated binary crossover and polynomial mutation, rounded to integers.

    Only pymoo's operators are used, on a population of our own. Its ready-made algorithm works in whole generations
    that must come back in one piece, stops giving points when a small box is exhausted, and is saved by pickling.

    Args:
        population: points that survive a generation, and offspring bred at a time. The first generation is filled up
            with random points behind the initial ones.

    Offspring are handed out one after the other; when they are used up, the best of the population and of all that was
    told since (points that were never asked included) become the parents of the next generation.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 2002. Crossover and
    mutation indices 3 as pymoo recommends for integers.
    """

    name = "nsga2"

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
    ) -> None:
        super().__init__(lower, upper, num_objectives=num_objectives, seed=seed, initial=initial, sampler=sampler)
        if population < 2:
            raise InputError(f"NSGA-II needs a population of at least 2, got {population}")
        self.population = population
        self._operators = _Operators(self.lower, self.upper, num_objectives)
        self._xs: Points = np.empty((0, len(self.lower)), dtype=np.int64)
        self._values: Values = np.empty((0, num_objectives))
        first = [self._draw() for _ in range(max(0, population - len(self._initial)))]
        self._offspring: Points = np.array(first, dtype=np.int64).reshape(-1, len(self.lower))

    def _suggest(self, n: int) -> list[Points]:
        return [self._child() for _ in range(n)]

    def _child(self) -> Points:
        for _ in range(TRIES):
            if not len(self._offspring):
                if len(self._xs) < 2:
                    break
                self._next_generation()
            x, self._offspring = self._offspring[0], self._offspring[1:]
            if self._claim(x):
                return x
        return self._random_point()

    def _next_generation(self) -> None:
        best, self._offspring = self._operators.generation(self._xs, self._values, self.population, self._rng)
        self._xs, self._values = self._xs[best], self._values[best]

    def _observe(self, xs: Points, values: Values) -> None:
        usable = np.isfinite(values).all(axis=1)
        pool = np.concatenate([self._xs, xs[usable]])
        # A point told twice must not fill the population with copies of itself; its latest values count.
        latest = len(pool) - 1 - np.unique(pool[::-1], axis=0, return_index=True)[1]
        keep = np.sort(latest)
        self._xs, self._values = pool[keep], np.concatenate([self._values, values[usable]])[keep]

    def _state(self) -> dict[str, NDArray[Any]]:
        return {"xs": self._xs, "values": self._values, "offspring": self._offspring}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._xs, self._values = arrays["xs"].astype(np.int64), arrays["values"]
        self._offspring = arrays["offspring"].astype(np.int64)


class _Operators:
    """Survival and mating of pymoo as a function of arrays and a random generator."""

    def __init__(self, lower: Points, upper: Points, num_objectives: int) -> None:
        from pymoo.algorithms.moo.nsga2 import binary_tournament
        from pymoo.core.mating import Mating
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.selection.tournament import TournamentSelection
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        self._problem = Problem(n_var=len(lower), n_obj=num_objectives, xl=lower, xu=upper, vtype=int)
        self._survival = RankAndCrowding()
        self._mating = Mating(
            TournamentSelection(func_comp=binary_tournament),
            SBX(prob=1.0, eta=3, vtype=float, repair=RoundingRepair()),
            PM(prob=1.0, eta=3, vtype=float, repair=RoundingRepair()),
        )

    def generation(
        self, xs: Points, values: Values, size: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], Points]:
        """Return the indices `(k,)` of the survivors, k <= size, and their `(size, d)` offspring."""
        from pymoo.core.population import Population

        everyone = Population.new(X=xs, F=values, index=np.arange(len(xs)))
        parents = self._survival.do(self._problem, everyone, n_survive=min(size, len(xs)), random_state=rng)
        tournament = SimpleNamespace(tournament_type="comp_by_dom_and_crowding", random_state=rng)
        children = self._mating.do(self._problem, parents, size, random_state=rng, algorithm=tournament)
        return np.asarray(parents.get("index"), dtype=np.int64), np.asarray(children.get("X"), dtype=np.int64)
