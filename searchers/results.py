"""What several searchers do with points and their values."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..evaluation.pareto import is_front
from .box import Points, Values


def scaled(values: Values) -> Values:
    """Return `(n, m)` with each objective mapped to 0 (its best) to 1; a constant one becomes 0."""
    low = values.min(axis=0)
    extent = values.max(axis=0) - low
    return (values - low) / np.where(extent > 0, extent, 1.0)


def preference(values: ArrayLike) -> list[int]:
    """Return the rows of `(n, m)` finite values, the most promising first: front after front, each spread out.

    Within a front the row with the lowest first objective comes first, then always the one farthest from all before
    it (an epsilon-net; Clarkson, "Nearest-neighbor searching and metric space dimensions", 2005). Distances are of
    scaled objectives, for their units must not matter. Of equal rows the first comes first.

    Example:
        >>> preference([[1, 1], [0, 9], [5, 0], [6, 6]])
        [1, 2, 0, 3]
    """
    values = scaled(np.asarray(values, dtype=np.float64))
    left, order = np.arange(len(values)), []
    while len(left):
        on = is_front(values[left])  # of equal rows one; the others come later
        order += left[on][_spread(values[left[on]])].tolist()
        left = left[~on]
    return order


def _spread(values: Values) -> list[int]:
    """Return the indices of a front's rows `(n, m)` as an epsilon-net orders them."""
    order = [int(np.argmin(values[:, 0]))]
    distance = np.linalg.norm(values - values[order[0]], axis=1)
    while len(order) < len(values):
        distance[order] = -np.inf
        order.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.linalg.norm(values - values[order[-1]], axis=1))
    return order


def pooled(xs: Points, values: Values, more: Points, values_of_more: Values) -> tuple[Points, Values]:
    """Add results to `(n, d)` points and `(n, m)` values: each point once, its latest values, without failed ones."""
    usable = np.isfinite(values_of_more).all(axis=1)
    together = np.concatenate([xs, more[usable]])
    keep = latest(together)
    return together[keep], np.concatenate([values, values_of_more[usable]])[keep]


def latest(xs: Points) -> NDArray[np.int64]:
    """Return, in order, the indices of the last occurrence of each distinct row of `xs`."""
    # Not np.unique, which takes a tenth of a second for twenty points of the large space.
    return np.sort(np.array(list({x.tobytes(): i for i, x in enumerate(xs)}.values()), dtype=np.int64))
