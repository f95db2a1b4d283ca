"""The error on one split that is read with several vocabularies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..search_space import SubnetMask, TokenSet
from .error import SplitError
from .racing import Outcome
from .served_error import ServedError


class SpelledErrors:
    """Does for masks of several vocabularies what `SplitError`, or `ServedError`, does for those of one.

    Args:
        of: for the tokens that masks have, None among them, the same texts spelled with these, in the numbers of the
            supernet's whole table: so one supernet runs them all.
    """

    def __init__(self, of: Mapping[TokenSet | None, SplitError | ServedError]) -> None:
        self._of = dict(of)

    @property
    def all_depths(self) -> bool:
        """Tell whether one pass gives the error after each depth."""
        return all(one.all_depths for one in self._of.values())

    def errors(self, mask: SubnetMask, depths: Sequence[int]) -> dict[int, float]:
        """Return `1 - score` after each depth, as :meth:`SplitError.errors` does."""
        return self._of[mask.tokens].errors(mask.with_tokens(None), depths)

    def race(self, mask: SubnetMask, limits: Mapping[int, float]) -> dict[int, Outcome]:
        """Return the error after each depth, or an estimate, as :meth:`SplitError.race` does.

        The texts' order of hardness is each vocabulary's own. The bound is one of costs and errors alone, so that
        subnetworks of different vocabularies stop each other.
        """
        one = self._of[mask.tokens]
        assert isinstance(one, SplitError)  # who makes an evaluator refuses to race others
        return one.race(mask.with_tokens(None), limits)
