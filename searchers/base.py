"""The interface of every searcher: integers out, numbers in."""

from __future__ import annotations

import io
import json
import zipfile
from abc import ABC, abstractmethod
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .box import Box, Points, Values

# How often a searcher tries to find a point that was not asked before, until it takes any.
TRIES = 100


class Searcher(ABC):
    """Chooses the points of a box of integers that are worth evaluating; all objectives are minimised.

    The first points asked are `initial`; what follows is the method's. No point is asked twice as long as new ones can
    be found. Results may come in any order, in parts, several times, or for points that were never asked.

    A method derives from this and says how it chooses (`_next`), what it learns (`_observe`) and what it `remembers`.

    Args:
        box: the space, the number of objectives, the seed and how to begin.

    Attributes:
        name: in the registry and in saved states.
        remembers: names of the arrays that the method learned (`xs` for `_xs`), which are saved and restored.

    Example:
        >>> searcher = LocalSearch(Box([0, 1, 1], [6, 12, 1536], num_objectives=2, seed=0))
        >>> xs = searcher.ask(4)
        >>> searcher.tell(xs, evaluate(xs))
    """

    name: str
    remembers: tuple[str, ...] = ()

    def __init__(self, box: Box) -> None:
        self.box = box
        self._rng = np.random.default_rng(box.seed)
        self._seen: set[bytes] = set()  # hashes: a point of the large space has 37,000 coordinates
        self._initial = box.first()

    def ask(self, n: int) -> Points:
        """Return the next `(n, d)` points to evaluate; all lie in the box."""
        if n < 0:
            raise InputError(f"ask needs the number of points, got {n}")
        xs: list[Points] = []
        while len(xs) < n and len(self._initial):
            x, self._initial = self._initial[0], self._initial[1:]
            if self._claim(x):
                xs.append(x)
        while len(xs) < n:
            xs.append(self._next() if len(self._seen) < self.box.size else self._random_point())
        return np.array(xs, dtype=np.int64).reshape(n, self.box.dimensions)

    def tell(self, xs: ArrayLike, values: ArrayLike) -> None:
        """Take results.

        Args:
            xs: `(n, d)` int.
            values: `(n, m)`. A row with NaN or an infinity is a failed evaluation: its point is not asked again.

        Raises:
            InputError: points outside the box or values of another shape.
        """
        xs = self.box.checked(xs, "a point told")
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (len(xs), self.box.num_objectives):
            raise InputError(
                f"{len(xs)} points with {self.box.num_objectives} objectives need values of shape "
                f"{(len(xs), self.box.num_objectives)}, got {values.shape}"
            )
        self._seen.update(_digest(x) for x in xs)
        self._observe(xs, values)

    def expect(self, xs: ArrayLike) -> None:
        """Take note of points `(n, d)` int whose results will come with others': they are not asked.

        Raises:
            InputError: points outside the box.
        """
        self._seen.update(_digest(x) for x in self.box.checked(xs, "a point expected"))

    def state(self) -> bytes:
        """Return all that the search depends on, but for the constructor's arguments. Pure data: no pickle."""
        arrays = self._state()
        header = {"searcher": self.name, "objectives": self.box.num_objectives, "rng": self._rng.bit_generator.state}
        arrays |= {
            "header": np.array(json.dumps(header)),
            "box": np.stack([self.box.lower, self.box.upper]),
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
        expected = (self.name, self.box.num_objectives)
        came = (header["searcher"], header["objectives"])
        if came != expected or not np.array_equal(arrays["box"], np.stack([self.box.lower, self.box.upper])):
            raise InputError(
                f"the saved state belongs to searcher {came[0]!r} with {came[1]} objectives on a box of "
                f"{arrays['box'].shape[1]} coordinates, not to {expected[0]!r} with {expected[1]} on this box of "
                f"{self.box.dimensions}; choose what the search began with, or start another run"
            )
        self._rng.bit_generator.state = header["rng"]
        self._initial = arrays["initial"].astype(np.int64)
        seen = arrays["seen"].tobytes()
        self._seen = {seen[i : i + _DIGEST_SIZE] for i in range(0, len(seen), _DIGEST_SIZE)}
        self._restore(arrays)

    @abstractmethod
    def _next(self) -> Points:
        """Return a point `(d,)`, claimed. At least one point of the box is new."""

    def _observe(self, xs: Points, values: Values) -> None:  # noqa: B027 (many learn nothing)
        """Take checked results."""

    def _state(self) -> dict[str, NDArray[Any]]:
        """Return what the method itself remembers."""
        return {name: getattr(self, f"_{name}") for name in self.remembers}

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take back what :meth:`_state` returned, integers perhaps in a smaller type."""
        for name in self.remembers:
            setattr(self, f"_{name}", arrays[name].astype(getattr(self, f"_{name}").dtype))

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

    def _random_point(self) -> Points:
        """Draw and claim a point `(d,)`, a new one where it can be found."""
        x = self.box.draw(self._rng)
        for _ in range(TRIES):
            if len(self._seen) >= self.box.size or self._claim(x):
                return x
            x = self.box.draw(self._rng)
        return x


_DIGEST_SIZE = 16


def _digest(x: Points) -> bytes:
    return blake2b(np.ascontiguousarray(x, dtype=np.int64).tobytes(), digest_size=_DIGEST_SIZE).digest()


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Store integers in the smallest type that holds them: points of bits take one byte per coordinate, not eight."""
    if array.dtype != np.int64 or not array.size:
        return array
    return array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))
