"""Random search: the method that every other must beat."""

from __future__ import annotations

from .base import Searcher
from .box import Points


class RandomSearch(Searcher):
    """Draws points at random, from `sampler` or uniformly from the box, without repeating one.

    Uniform draws from the medium and large spaces are all of about half size: pass the space's own sampler.
    """

    name = "random"

    def _next(self) -> Points:
        return self._random_point()
