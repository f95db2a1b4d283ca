"""The nearest vectors, and how well they answer: recall and nDCG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

NEAREST = 10  # that are looked at
_ROWS = 1024  # whose similarities are held at once


def directions(vectors: NDArray) -> NDArray[np.float64]:
    """Return vectors `(n, C)` of length 1; a zero stays one."""
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def nearest(queries: NDArray, documents: NDArray | None = None) -> NDArray[np.int64]:
    """Return the ten documents of the highest dot product with each query, the nearest first; `(m, 10)` or fewer.

    Args:
        queries: `(m, C)`.
        documents: `(n, C)`; the queries themselves if None, none of which is its own neighbour then.
    """
    others = queries if documents is None else documents
    count = min(NEAREST, len(others) - (documents is None))
    found = np.empty((len(queries), count), np.int64)
    for start in range(0, len(queries), _ROWS):
        near = queries[start : start + _ROWS] @ others.T
        if documents is None:
            near[np.arange(len(near)), start + np.arange(len(near))] = -np.inf
        best = np.argpartition(-near, count - 1, axis=1)[:, :count] if count else np.empty((len(near), 0), np.int64)
        order = np.argsort(-np.take_along_axis(near, best, axis=1), axis=1, kind="stable")
        found[start : start + _ROWS] = np.take_along_axis(best, order, axis=1)
    return found


def retrieval(
    found: NDArray[np.int64], grades: Sequence[Mapping[int, float]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and nDCG of the documents found for each query, `(m,)` each.

    Recall is the share of the relevant ones, of ten where there are more. The gain of a document is its grade over the
    logarithm of its place. Both are 0 where nothing is relevant.

    Source: Järvelin and Kekäläinen, ACM TOIS 2002, section 2.2, with gains as trec_eval has them.

    Args:
        found: `(m, k)`, the nearest first.
        grades: of each query how relevant a document is, by its number; those that are not named are not.
    """
    discounts = 1 / np.log2(np.arange(NEAREST) + 2)
    recall, ndcg = np.zeros(len(found)), np.zeros(len(found))
    for row, (places, known) in enumerate(zip(found, grades, strict=True)):
        best = sorted((grade for grade in known.values() if grade > 0), reverse=True)[:NEAREST]
        if not best:
            continue
        gains = np.array([known.get(int(place), 0.0) for place in places])
        recall[row] = (gains > 0).sum() / len(best)
        ndcg[row] = gains @ discounts[: len(gains)] / (np.array(best) @ discounts[: len(best)])
    return recall, ndcg
