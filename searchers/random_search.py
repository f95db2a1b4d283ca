"""Random search: the method that every other must beat."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from .base import Points, Searcher, Values


class RandomSearch(Searcher):
    """Draws points at random, from `sampler` or uniformly from the box, without repeating one.

    Uniform draws from the medium and large spaces are all of about half size: pass the space's own sampler.
    """

    name = "random"

    def _suggest(self, n: int) -> list[Points]:
        return self._random(n)

    def _observe(self, xs: Points, values: Values) -> None:
        pass

    def _state(self) -> dict[str, NDArray[Any]]:
        return {}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        pass
