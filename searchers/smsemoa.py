"""SMS-EMOA with pymoo's operators."""

from __future__ import annotations

from .genetic import SelectingSearcher, Selection


class SMSEMOA(SelectingSearcher):
    """Breeds one point at a time; of the worst front, the point that adds least hypervolume dies.

    The hypervolume is exact (moocore) and taken in objectives scaled by the pool's best and worst, so that units do not
    matter. pymoo breeds as many as the population has; one at a time is the paper's, and what told results arrive in.

    Source: Beume, Naujoks and Emmerich, "SMS-EMOA: Multiobjective selection based on dominated hypervolume", EJOR 2007.
    """

    name = "smsemoa"
    steady = True

    def _selection(self) -> Selection:
        from pymoo.algorithms.moo.sms import LeastHypervolumeContributionSurvival, cv_and_dom_tournament
        from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

        # With one objective a point's hypervolume is its value, and moocore refuses a single column.
        one = self.box.num_objectives == 1
        return Selection(RankAndCrowding() if one else LeastHypervolumeContributionSurvival(), cv_and_dom_tournament)
