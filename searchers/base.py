"""The interface of every searcher: integers out, numbers in."""

from __future__ import annotations

import io
import json
import math
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Points = NDArray[np.int64]
Values = NDArray[np.float64]
Sampler = Callable[[int, np.random.Generator], NDArray[np.integer]]

# How often a searcher tries to find a point that was not asked before, until it takes any.
TRIES = 100


class Searcher(ABC):
    """Chooses the points of a box of integers that are worth evaluating; all objectives are minimised.

    The first points asked are `initial`; what follows is the method's. No point is asked twice as long as new ones can
    be found. Results may come in any order, in parts, several times, or for points that were never asked.

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
        InputError: an empty box, or initial points outside it.

    Example:
        >>> searcher = LocalSearch([0, 1, 1], [6, 12, 1536], num_objectives=2, seed=0)
        >>> xs = searcher.ask(4)
        >>> searcher.tell(xs, evaluate(xs))
    """

    name: str

    def __init__(
        self,
        lower: ArrayLike,
        upper: ArrayLike,
        *,
        num_objectives: int,
        seed: int,
        initial: ArrayLike | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.lower: Points = np.array(lower, dtype=np.int64)
        self.upper: Points = np.array(upper, dtype=np.int64)
        if self.lower.ndim != 1 or self.lower.shape != self.upper.shape or not self.lower.size:
            raise InputError(f"a box needs lower and upper ends (d,), got {self.lower.shape} and {self.upper.shape}")
        if (self.lower > self.upper).any():
            i = int(np.argmax(self.lower > self.upper))
            raise InputError(f"coordinate {i} of the box has lower end {self.lower[i]} above upper end {self.upper[i]}")
        if num_objectives < 1:
            raise InputError(f"a search needs at least one objective, got {num_objectives=}")
        self.num_objectives = num_objectives
        self._rng = np.random.default_rng(seed)
        self._sampler = sampler
        self._seen: set[bytes] = set()  # hashes: a point of the large space has 37,000 coordinates
        self._size = math.prod(int(n) for n in self.upper - self.lower + 1)
        if initial is None:
            # Not (upper - lower) // 2, which lies outside a box whose lower end is large.
            middle = self.lower + (self.upper - self.lower) // 2
            initial = np.array([self.upper, self.lower, middle])
        first = self._checked(initial, "an initial point")
        self._initial = first[np.sort(np.unique(first, axis=0, return_index=True)[1])]

        self._begin()

    def _begin(self) -> None:  # noqa: B027 (many have nothing to set up)
        """Set up what the method itself remembers; one with options of its own has a constructor instead."""

    def ask(self, n: int) -> Points:
        """Return the next `(n, d)` points to evaluate; all lie in the box."""
        if n < 0:
            raise InputError(f"ask needs the number of points, got {n}")
        xs: list[Points] = []
        while len(xs) < n and len(self._initial):
            x, self._initial = self._initial[0], self._initial[1:]
            if self._claim(x):
                xs.append(x)
        if len(xs) < n:
            rest = n - len(xs)
            xs.extend(self._suggest(rest) if len(self._seen) < self._size else self._random(rest))
        return np.array(xs, dtype=np.int64).reshape(n, len(self.lower))

    def tell(self, xs: ArrayLike, values: ArrayLike) -> None:
        """Take results.

        Args:
            xs: `(n, d)` int.
            values: `(n, m)`. A row with NaN or an infinity is a failed evaluation: its point is not asked again.

        Raises:
            InputError: points outside the box or values of another shape.
        """
        xs = self._checked(xs, "a point told")
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(xs), self.num_objectives):
            raise InputError(
                f"{len(xs)} points with {self.num_objectives} objectives need values of shape "
                f"{(len(xs), self.num_objectives)}, got {values.shape}"
            )
        self._seen.update(_digest(x) for x in xs)
        self._observe(xs, values)

    def expect(self, xs: ArrayLike) -> None:
        """Take note of points `(n, d)` int whose results will come with others': they are not asked.

        Raises:
            InputError: points outside the box.
        """
        self._seen.update(_digest(x) for x in self._checked(xs, "a point expected"))

    def state(self) -> bytes:
        """Return all that the search depends on, but for the constructor's arguments. Pure data: no pickle."""
        arrays = self._state()
        header = {"searcher": self.name, "objectives": self.num_objectives, "rng": self._rng.bit_generator.state}
        arrays |= {
            "header": np.array(json.dumps(header)),
            "box": np.stack([self.lower, self.upper]),
            "initial": self._initial,
            "seen": np.frombuffer(b"".join(sorted(self._seen)), np.uint8),
        }
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{key: _compact(array) for key, array in arrays.items()})  # pyright: ignore[reportArgumentType]
        return buffer.getvalue()

    def restore(self, state: bytes) -> None:
        """Continue exactly where :meth:`state` was taken, in this process or another.

        Raises:
            InputError: the state of another method or another box, or damaged bytes.
        """
        try:
            with np.load(io.BytesIO(state), allow_pickle=False) as file:
                arrays: dict[str, NDArray[Any]] = {key: file[key] for key in file.files}
            header = json.loads(str(arrays["header"]))
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise InputError(f"the saved state of the search is damaged ({error}); start the search again") from error
        expected = (self.name, self.num_objectives)
        came = (header["searcher"], header["objectives"])
        if came != expected or not np.array_equal(arrays["box"], np.stack([self.lower, self.upper])):
            raise InputError(
                f"the saved state belongs to searcher {came[0]!r} with {came[1]} objectives on a box of "
                f"{arrays['box'].shape[1]} coordinates, not to {expected[0]!r} with {expected[1]} on this box of "
                f"{len(self.lower)}; choose what the search began with, or start another run"
            )
        self._rng.bit_generator.state = header["rng"]
        self._initial = arrays["initial"].astype(np.int64)
        seen = arrays["seen"].tobytes()
        self._seen = {seen[i : i + _DIGEST_SIZE] for i in range(0, len(seen), _DIGEST_SIZE)}
        self._restore(arrays)

    @abstractmethod
    def _suggest(self, n: int) -> list[Points]:
        """Return `n` points `(d,)`, each of them claimed. At least one point of the box is new."""

    @abstractmethod
    def _observe(self, xs: Points, values: Values) -> None:
        """Take checked results."""

    @abstractmethod
    def _state(self) -> dict[str, NDArray[Any]]:
        """Return what the method itself remembers."""

    @abstractmethod
    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what :meth:`_state` returned, integers perhaps in a smaller type."""

    def _claim(self, x: Points) -> bool:
        """Tell whether `x` was neither asked nor told so far, and remember it."""
        digest = _digest(x)
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    def _knows(self, x: Points) -> bool:
        """Tell whether `x` was asked or told so far."""
        return _digest(x) in self._seen

    def _random(self, n: int) -> list[Points]:
        """Draw and claim `n` points, new ones where they can be found."""
        return [self._random_point() for _ in range(n)]

    def _random_point(self) -> Points:
        x = self._draw()
        for _ in range(TRIES):
            if len(self._seen) >= self._size or self._claim(x):
                return x
            x = self._draw()
        return x

    def _draw(self) -> Points:
        if self._sampler is None:
            return self._rng.integers(self.lower, self.upper, endpoint=True)
        return self._checked(self._sampler(1, self._rng), "a point of the sampler")[0]

    def _checked(self, xs: ArrayLike, what: str) -> Points:
        xs = np.asarray(xs)
        if xs.ndim != 2 or xs.shape[1] != len(self.lower):
            raise InputError(f"points of this box need shape (n, {len(self.lower)}), got {xs.shape}")
        whole = xs.astype(np.int64)
        if not np.array_equal(whole, xs):
            raise InputError(f"{what} has coordinates that are not whole numbers; the box is one of integers")
        outside = np.argwhere((whole < self.lower) | (whole > self.upper))
        if len(outside):
            row, i = outside[0]
            raise InputError(f"{what} has coordinate {i} = {whole[row, i]} outside {self.lower[i]}..{self.upper[i]}")
        return whole


_DIGEST_SIZE = 16


def _digest(x: Points) -> bytes:
    return blake2b(np.ascontiguousarray(x, dtype=np.int64).tobytes(), digest_size=_DIGEST_SIZE).digest()


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Store integers in the smallest type that holds them: points of bits take one byte per coordinate, not eight."""
    if array.dtype != np.int64 or not array.size:
        return array
    return array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))
