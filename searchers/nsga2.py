"""NSGA-II with pymoo's operators."""

from __future__ import annotations

from .genetic import SelectingSearcher, Selection


class NSGA2(SelectingSearcher):
    """Breeds generations; points survive by non-dominated rank, then by crowding distance.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II", IEEE TEC 2002.
    """

    name = "nsga2"

    def _selection(self) -> Selection:
        from pymoo.algorithms.moo.nsga2 import binary_tournament
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        return Selection(RankAndCrowding(), binary_tournament, compare="comp_by_dom_and_crowding")
