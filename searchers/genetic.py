"""What genetic searchers share: a population, its offspring, and pymoo's operators between them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .base import TRIES, Searcher
from .box import Box, Points, Values
from .results import pooled

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymoo.core.population import Population


class GeneticSearcher(Searcher):
    """A searcher that breeds: simulated binary crossover and polynomial mutation, rounded to integers.

    Only pymoo's operators are used, on a population of our own. Its ready-made algorithms work in whole generations
    that must come back in one piece, stop giving points when a small box is exhausted, and are saved by pickling.

    Offspring are handed out one after the other; when they are used up, the best of the population and of all that was
    told since (points that were never asked included) become the parents of the next ones. What "the best" and "the
    parents" are is all that one method adds.

    Args:
        population: points that survive, and that the first generation is filled up to with random points behind the
            initial ones.

    Attributes:
        steady: breed one point at a time from the latest survivors, instead of as many as the population has.
        generations: how many were bred since it was made.
    """

    remembers = ("xs", "values", "offspring")
    steady = False

    def __init__(self, box: Box, *, population: int = 20) -> None:
        super().__init__(box)
        if population < 2:
            raise InputError(f"the searcher {self.name!r} needs a population of at least 2, got {population}")
        self.population = population
        self.generations = 0
        self._operators = Operators(box)
        self._xs, self._values = box.no_results()
        first = [box.draw(self._rng) for _ in range(population - len(self._initial))]
        self._offspring: Points = np.array(first, dtype=np.int64).reshape(-1, box.dimensions)

    @abstractmethod
    def _generation(self, values: Values, offspring: int) -> tuple[NDArray[np.int64], Points]:
        """Return the indices `(k,)` of the survivors, k <= `population`, and their offspring `(offspring, d)`.

        Args:
            values: `(n, m)` of the points `_xs`, n >= 2, all finite.
            offspring: how many points to breed.
        """

    def _next(self) -> Points:
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
        self.generations += 1
        best, self._offspring = self._generation(self._values, 1 if self.steady else self.population)
        self._xs, self._values = self._xs[best], self._values[best]

    def _observe(self, xs: Points, values: Values) -> None:
        # A point told twice must not fill the population with copies of itself.
        self._xs, self._values = pooled(self._xs, self._values, xs, values)


class Survival(Protocol):
    """Who survives: pymoo's `Survival`, or what stands in for one."""

    def do(self, problem: Any, pop: Any, *, n_survive: int, random_state: np.random.Generator) -> Any:
        """Return the `n_survive` members of `pop` that live on, with what the tournament compares set."""
        ...


@dataclass(frozen=True)
class Selection:
    """How a method selects.

    Attributes:
        survival: who survives.
        tournament: pymoo's function that decides between two would-be parents.
        compare: what `binary_tournament` compares first, before crowding; others do not read it.
    """

    survival: Survival
    tournament: Callable[..., NDArray[np.integer]]
    compare: str = ""


class SelectingSearcher(GeneticSearcher):
    """A genetic searcher made of a survival and a tournament of pymoo's."""

    @abstractmethod
    def _selection(self) -> Selection:
        """Return how the method selects. Nothing in it may remember an earlier generation: it would not be saved."""

    def _generation(self, values: Values, offspring: int) -> tuple[NDArray[np.int64], Points]:
        selection = self._selection()
        everyone = self._operators.population(self._xs, values)
        parents = selection.survival.do(
            self._operators.problem,
            everyone,
            n_survive=min(self.population, len(values)),
            random_state=self._rng,
        )
        children = self._operators.tournament(parents, selection, offspring, self._rng)
        return np.asarray(parents.get("index"), dtype=np.int64), children


class Operators:
    """Mating of pymoo as a function of populations and a random generator."""

    def __init__(self, box: Box) -> None:
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair

        self.problem: Any = Problem(
            n_var=box.dimensions, n_obj=box.num_objectives, xl=box.lower, xu=box.upper, vtype=int
        )
        # Crossover index 3, as pymoo recommends for integers; mutation index 20, finer steps than its 3. On the tabular
        # benchmark (RTE, 200 evaluations) NSGA-II's regret falls from 12 to 3 % by it, MOEA/D's from 3.5 to 1.4 %.
        self._crossover = SBX(prob=1.0, eta=3, vtype=float, repair=RoundingRepair())
        self._mutation = PM(prob=1.0, eta=20, vtype=float, repair=RoundingRepair())

    def population(self, xs: Points, values: Values) -> Population:
        """Return pymoo's view of points `(n, d)` with values `(n, m)`; `index` counts them."""
        from pymoo.core.population import Population

        return Population.new(X=xs, F=values, index=np.arange(len(xs)))

    def tournament(self, parents: Population, selection: Selection, n: int, rng: np.random.Generator) -> Points:
        """Return `(n, d)` offspring of parents that won a tournament of two."""
        from pymoo.core.mating import Mating
        from pymoo.operators.selection.tournament import TournamentSelection

        mating = Mating(TournamentSelection(func_comp=selection.tournament), self._crossover, self._mutation)
        algorithm = SimpleNamespace(tournament_type=selection.compare, random_state=rng)
        children = mating.do(self.problem, parents, n, random_state=rng, algorithm=algorithm)
        return np.asarray(children.get("X"), dtype=np.int64)

    def offspring(self, xs: Points, pairs: NDArray[np.integer], rng: np.random.Generator) -> Points:
        """Return `(n, d)` points, one of each pair `(n, 2)` of indices into `xs`."""
        from pymoo.core.population import Population

        children = self._crossover.do(self.problem, Population.new(X=xs)[pairs], random_state=rng)
        # Each pair has two: the first ones of all pairs come first.
        children = self._mutation.do(self.problem, children[: len(pairs)], random_state=rng)
        return np.asarray(children.get("X"), dtype=np.int64)


def reference_directions(num_objectives: int, most: int) -> Values:
    """Return `(n, m)` weights that sum to one, evenly spread: the largest simplex lattice of at most `most` points.

    Source: Das and Dennis, SIAM J. Optimization 1998; pymoo's construction.
    """
    from pymoo.util.reference_direction import UniformReferenceDirectionFactory, get_partition_closest_to_points

    partitions = get_partition_closest_to_points(most, num_objectives)
    return np.asarray(UniformReferenceDirectionFactory(num_objectives, n_partitions=partitions).do())
