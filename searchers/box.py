"""What a searcher is told of its space: a box of integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Points = NDArray[np.int64]
Values = NDArray[np.float64]
Sampler = Callable[[int, np.random.Generator], NDArray[np.integer]]


@dataclass(frozen=True, eq=False)
class Box:
    """The integers to choose from, how many numbers a point gets, and how the search begins.

    Args:
        lower: `(d,)` int, the lower ends of the box.
        upper: `(d,)` int, the upper ends, inclusive.
        num_objectives: m, how many numbers a point gets.
        seed: the same seed and the same results give the same points.
        initial: `(k, d)` int, points to ask first; if None, the largest, the smallest and the middle one, with which
            all searchers of Klein et al. (TMLR 2024) start.
        sampler: draws `(n, d)` random points wherever the method needs some, such as `space.sample_by_size`; uniform in
            the box if None.

    Raises:
        InputError: an empty box, no objective, or initial points outside the box.

    Example:
        >>> box = Box(space.lower, space.upper, num_objectives=2, seed=0, sampler=space.sample_by_size)
    """

    lower: Points
    upper: Points
    _: KW_ONLY
    num_objectives: int
    seed: int
    initial: Points | None = None
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        lower, upper = (np.array(ends, dtype=np.int64) for ends in (self.lower, self.upper))
        if lower.ndim != 1 or lower.shape != upper.shape or not lower.size:
            raise InputError(f"a box needs lower and upper ends (d,), got {lower.shape} and {upper.shape}")
        if (lower > upper).any():
            i = int(np.argmax(lower > upper))
            raise InputError(f"coordinate {i} of the box has lower end {lower[i]} above upper end {upper[i]}")
        if self.num_objectives < 1:
            raise InputError(f"a search needs at least one objective, got num_objectives={self.num_objectives}")
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)
        if self.initial is not None:
            object.__setattr__(self, "initial", self.checked(self.initial, "an initial point"))

    @property
    def _sides(self) -> NDArray[np.int64]:
        return self.upper - self.lower + 1

    @property
    def dimensions(self) -> int:
        """d, the number of coordinates."""
        return len(self.lower)

    @cached_property
    def size(self) -> int:
        """The number of points."""
        return math.prod(self._sides.tolist())

    @cached_property
    def free(self) -> NDArray[np.int64]:
        """The coordinates with more than one value, `(k,)`."""
        return np.flatnonzero(self.lower < self.upper)

    def first(self) -> Points:
        """Return the points to ask first, `(k, d)`, each once."""
        # Not (upper - lower) // 2, which lies outside a box whose lower end is large.
        middle = self.lower + (self.upper - self.lower) // 2
        xs = np.array([self.upper, self.lower, middle]) if self.initial is None else self.initial
        return xs[np.sort(np.unique(xs, axis=0, return_index=True)[1])]

    def points(self) -> Points:
        """Return all points of the box, `(size, d)`."""
        return np.stack(np.unravel_index(np.arange(self.size), self._sides), axis=1) + self.lower

    def no_results(self) -> tuple[Points, Values]:
        """Return `(0, d)` points and `(0, m)` values."""
        return np.empty((0, self.dimensions), dtype=np.int64), np.empty((0, self.num_objectives))

    def draw(self, rng: np.random.Generator) -> Points:
        """Return a random point `(d,)`."""
        if self.sampler is None:
            return rng.integers(self.lower, self.upper, endpoint=True)
        return self.checked(self.sampler(1, rng), "a point of the sampler")[0]

    def shares(self, xs: Points) -> Values:
        """Return `(n, d)` in 0..1: where points `(n, d)` lie between the two ends."""
        return (xs - self.lower) / np.maximum(self.upper - self.lower, 1)

    def checked(self, xs: ArrayLike, what: str) -> Points:
        """Return points `(n, d)` as integers.

        Raises:
            InputError: another shape, fractions, or points outside the box; it says that `what` has them.
        """
        xs = np.asarray(xs)
        if xs.ndim != 2 or xs.shape[1] != self.dimensions:
            raise InputError(f"points of this box need shape (n, {self.dimensions}), got {xs.shape}")
        whole = xs.astype(np.int64)
        if not np.array_equal(whole, xs):
            raise InputError(f"{what} has coordinates that are not whole numbers; the box is one of integers")
        outside = np.argwhere((whole < self.lower) | (whole > self.upper))
        if len(outside):
            row, i = outside[0]
            raise InputError(f"{what} has coordinate {i} = {whole[row, i]} outside {self.lower[i]}..{self.upper[i]}")
        return whole
