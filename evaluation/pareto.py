"""Fronts and hypervolumes of points in objective space. Everything is minimised."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray


def is_front(values: ArrayLike) -> NDArray[np.bool_]:
    """Tell which points no other point dominates.

    Args:
        values: `(n, m)`.

    Returns:
        `(n,)` bool. Of equal points only the first is on the front; a row with NaN never is.

    Example:
        >>> is_front([[1, 2], [2, 1], [2, 2], [1, 2]])
        array([ True,  True, False, False])
    """
    values = _matrix(values)
    front = np.asarray(~np.isnan(values).any(axis=1))
    if front.any():
        finite = np.nan_to_num(values[front])  # with four objectives moocore keeps equal points that hold infinities
        front[front] = moocore.is_nondominated(finite, keep_weakly=False)
    return front


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume between the points and the reference point: larger is better.

    Args:
        values: `(n, m)`. Points that are not below the reference in every objective contribute nothing, nor do rows
            with NaN; no points at all have volume 0.
        reference: `(m,)`, a point worse than all that count.

    Source: Zitzler and Thiele, "Multiobjective optimization using evolutionary algorithms", PPSN 1998.
    """
    values, reference = _matrix(values), np.asarray(reference, dtype=float)
    if values.size == 0:
        return 0.0
    if reference.shape != (values.shape[1],):
        raise ValueError(f"points of {values.shape[1]} objectives need a reference of as many, got {reference.shape}")
    values = values[(values < reference).all(axis=1)]  # NaN compares false
    return float(moocore.hypervolume(values, ref=reference)) if len(values) else 0.0


def normalised_hypervolume(values: ArrayLike, ideal: ArrayLike, reference: ArrayLike) -> float:
    """Return the share, 0 to 1, of the box between two fixed points that the front covers.

    With bounds that belong to the problem (the full model's error and the majority class's, the smallest size and the
    largest) the number does not depend on which other runs are compared. Klein et al. map objectives to quantiles
    pooled over all runs instead, so that adding a run changes every other run's volume.

    Args:
        values: `(n, m)`. What lies below `ideal` counts as if it lay on it.
        ideal: `(m,)`, the best value of each objective.
        reference: `(m,)`, the worst; above `ideal` in every objective.
    """
    ideal, reference = np.asarray(ideal, dtype=float), np.asarray(reference, dtype=float)
    if not (ideal < reference).all():
        raise ValueError(f"the reference must be above the ideal in every objective, got {ideal=} and {reference=}")
    values = _matrix(values)
    if values.size == 0:
        return 0.0
    scaled = (np.maximum(values, ideal) - ideal) / (reference - ideal)
    return hypervolume(scaled, np.ones_like(ideal))


def _matrix(values: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(values, dtype=float)
    if matrix.shape == (0,):
        return matrix.reshape(0, 0)
    if matrix.ndim != 2:
        raise ValueError(f"points need shape (n, m), got {matrix.shape}")
    return matrix
