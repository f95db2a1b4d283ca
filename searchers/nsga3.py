"""NSGA-III with pymoo's operators."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .box import Values
from .genetic import SelectingSearcher, Selection, reference_directions
from .results import scaled


class NSGA3(SelectingSearcher):
    """Breeds generations; within the last front that fits, points survive that lie along rare reference directions.

    Made for three objectives and more, where crowding distances lose their meaning. There are as many directions as a
    simplex lattice of at most `population` points has: 20 with two objectives and the default population of 20, 15 with
    three, 20 with four.

    Objectives are scaled, and the plane through the extreme points is found, anew for each generation from its pool.
    The paper remembers the best values of all generations, pymoo the extreme points too; here they are in the pool.

    Source: Deb and Jain, "An evolutionary many-objective optimization algorithm using reference-point-based
    nondominated sorting approach, part I", IEEE TEC 2014.
    """

    name = "nsga3"

    def _selection(self) -> Selection:
        from pymoo.algorithms.moo.nsga3 import comp_by_cv_then_random

        directions = reference_directions(self.box.num_objectives, self.population)
        return Selection(_DirectionSurvival(directions), comp_by_cv_then_random)


class _DirectionSurvival:
    """pymoo's niching, without its memory and its side effect."""

    def __init__(self, directions: Values) -> None:
        self.directions = directions

    def do(self, problem: Any, pop: Any, *, n_survive: int, random_state: np.random.Generator) -> Any:
        from pymoo.algorithms.moo.nsga3 import ReferenceDirectionSurvival

        # Differences below 0.001 count as none there, so that an error and a count of parameters would fare unlike.
        pop.set("F", scaled(pop.get("F")))
        with warnings.catch_warnings():  # it silences all warnings of the process, for good
            survival = ReferenceDirectionSurvival(self.directions)
            return survival.do(problem, pop, n_survive=n_survive, random_state=random_state)
