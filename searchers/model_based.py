"""What Bayesian searchers share: a memory of results and of points under way, and one proposal at a time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..evaluation.pareto import is_front
from .base import TRIES, Searcher
from .box import Box, Points, Values

# A Gaussian process costs the cube of its observations. All depths of one pass are told, thirteen for BERT-base, so
# that a search of 100 passes would otherwise fit 1,300.
MAX_OBSERVATIONS = 200


class ModelBasedSearcher(Searcher):
    """A searcher that fits a model to all results and asks where it promises the largest gain.

    Until `startup` results are told it asks random points. The model is built anew for each point from the results and
    a seed, so that nothing but them determines the search: a restored searcher goes on bit for bit.
    """

    startup: int

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self._results: dict[tuple[int, ...], Values] = {}
        self._pending: dict[tuple[int, ...], None] = {}  # a set that keeps its order

    def ask(self, n: int) -> Points:
        """Return the next `(n, d)` points to evaluate; they stay pending, and are not proposed anew, until told."""
        xs = super().ask(n)
        self._await(xs)
        return xs

    @abstractmethod
    def _propose(self, xs: Points, values: Values, pending: Points, seed: int) -> Points | None:
        """Return the most promising point, one of the results or pending ones perhaps, or None if the model fails.

        Args:
            xs: `(n, k)`, the free coordinates (those with more than one value) of the points with results.
            values: `(n, m)`, finite; m may be smaller than `num_objectives`, constant objectives being left out.
            pending: `(p, k)`, points asked whose results are not there yet.
            seed: for all randomness of the proposal.

        Returns:
            `(k,)` int.
        """

    def _next(self) -> Points:
        x = self._random_point() if len(self._results) < self.startup else self._promising()
        self._await([x])
        return x

    def _await(self, xs: Iterable[Points]) -> None:
        self._pending |= dict.fromkeys(x for x in map(_tuple, xs) if x not in self._results)

    def _promising(self) -> Points:
        xs, values = self._training_data()
        values = values[:, np.ptp(values, axis=0) > 0]
        pending = np.array(list(self._pending), dtype=np.int64).reshape(-1, self.box.dimensions)
        seed = int(self._rng.integers(2**31))
        x = self.box.lower.copy()
        proposal = None
        if values.shape[1]:
            with _one_thread():
                proposal = self._propose(xs[:, self.box.free], values, pending[:, self.box.free], seed)
        if proposal is None:
            return self._random_point()
        x[self.box.free] = proposal
        return x if self._claim(x) else self._near(x)

    def _near(self, x: Points) -> Points:
        """Return a new point close to one that is known already: ever more coordinates change by one step."""
        for attempt in range(TRIES):
            changed = self._rng.choice(self.box.free, size=min(len(self.box.free), 1 + attempt // 10), replace=False)
            near = x.copy()
            near[changed] += self._rng.choice([-1, 1], size=len(changed))
            near = np.clip(near, self.box.lower, self.box.upper)
            if self._claim(near):
                return near
        return self._random_point()

    def _training_data(self) -> tuple[Points, Values]:
        xs = np.array(list(self._results), dtype=np.int64)
        values = np.array(list(self._results.values()))
        if len(xs) > MAX_OBSERVATIONS:
            # The front first, of which none may be lost, then a random choice of the others.
            order = np.lexsort((self._rng.permutation(len(xs)), ~is_front(values)))
            kept = np.sort(order[:MAX_OBSERVATIONS])
            xs, values = xs[kept], values[kept]
        return xs, values

    def _observe(self, xs: Points, values: Values) -> None:
        for x, row in zip(xs, values, strict=True):
            self._pending.pop(_tuple(x), None)
            if np.isfinite(row).all():
                self._results[_tuple(x)] = row  # told again, the latest counts: equal points make a singular kernel

    def _state(self) -> dict[str, NDArray[Any]]:
        size = self.box.dimensions
        return {
            "xs": np.array(list(self._results), dtype=np.int64).reshape(-1, size),
            "values": np.array(list(self._results.values())).reshape(-1, self.box.num_objectives),
            "pending": np.array(list(self._pending), dtype=np.int64).reshape(-1, size),
        }

    def _restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        self._results = dict(zip(map(_tuple, arrays["xs"]), arrays["values"], strict=True))
        self._pending = dict.fromkeys(map(_tuple, arrays["pending"]))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: on matrices of this size two of them took ten times as long on a busy machine."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _tuple(x: NDArray[np.integer]) -> tuple[int, ...]:
    return tuple(x.tolist())
