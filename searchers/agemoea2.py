"""AGE-MOEA-II with pymoo's operators."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .box import Values
from .genetic import SelectingSearcher, Selection


class AGEMOEA2(SelectingSearcher):
    """Breeds generations; points survive by rank, then by how far apart they lie on a front whose bend is estimated.

    The front is taken for the surface where the p-norm is one: p = 1 is a plane, larger bends outwards, smaller
    inwards. Distances are measured along it, and count for more where a point is close to the best values.

    The survival is our own: pymoo's cannot be imported without numba, which it does not declare and which weighs
    200 MB, and it weighs a distance by the wrong one of its two points.

    Source: Panichella, "An improved Pareto front modeling algorithm for large-scale many-objective optimization",
    GECCO 2022.
    """

    name = "agemoea2"

    def _selection(self) -> Selection:
        from pymoo.algorithms.moo.nsga2 import binary_tournament

        return Selection(_GeometrySurvival(), binary_tournament, compare="comp_by_rank_and_crowding")


class _GeometrySurvival:
    def do(self, problem: Any, pop: Any, *, n_survive: int, random_state: np.random.Generator) -> Any:
        from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

        values = np.asarray(pop.get("F"), dtype=np.float64)
        fronts = NonDominatedSorting().do(values, n_stop_if_ranked=n_survive)
        first = values[fronts[0]]
        ideal = first.min(axis=0)
        corners = find_corners(first - ideal)
        scale = intercepts(first - ideal, corners)
        p = bend((first - ideal) / scale, corners)

        rank, score = np.full(len(values), len(fronts)), np.zeros(len(values))
        for i, front in enumerate(fronts):
            rank[front] = i
            norm = np.maximum(_p_norm((values[front] - ideal) / scale, p), 1e-12)
            score[front] = 1 / norm if i else survival_scores((first - ideal) / scale, corners, p)
        pop.set("rank", rank, "crowding", score)
        best_first = np.lexsort((-score, rank))
        return pop[best_first[:n_survive]]


def find_corners(front: Values) -> NDArray[np.int64]:
    """Return the index of the point closest to each axis, m different ones; all n if there are no more than m.

    Args:
        front: `(n, m)`, the best values at the origin.
    """
    if len(front) <= front.shape[1]:
        return np.arange(len(front))
    squares = (front / np.maximum(front.max(axis=0), 1e-12)) ** 2
    corners: list[int] = []
    for j in range(front.shape[1]):
        distance = squares.sum(axis=1) - squares[:, j]
        distance[corners] = np.inf
        corners.append(int(np.argmin(distance)))
    return np.array(corners)


def intercepts(front: Values, corners: NDArray[np.int64]) -> Values:
    """Return `(m,)`: where the plane through the corners meets the axes, or the front's worst if it does not."""
    worst = front.max(axis=0)
    worst = np.where(worst > 0, worst, 1.0)
    if len(corners) < front.shape[1]:
        return worst
    try:
        plane = np.linalg.solve(front[corners], np.ones(len(corners)))
    except np.linalg.LinAlgError:
        return worst
    # A plane that meets an axis nowhere, behind the origin or far out is none.
    return 1 / plane if (plane * worst > 1e-3).all() else worst


def bend(front: Values, corners: NDArray[np.int64]) -> float:
    """Return the p whose unit surface the point closest to the best values lies on, 0.1 to 20; 1 if there is none.

    Args:
        front: `(n, m)`, from 0 to about 1.
        corners: indices of points that do not count, lying on every such surface.
    """
    distance = np.linalg.norm(front, axis=1)
    distance[corners] = np.inf
    point = front[np.argmin(distance)]
    point = point[point > 0]

    from scipy.optimize import brentq  # a second of import that only this needs

    def excess(p: float) -> float:
        return float((point**p).sum()) - 1.0

    if np.isinf(distance).all() or excess(0.1) <= 0 or excess(20.0) >= 0:
        return 1.0
    return float(brentq(excess, 0.1, 20.0))  # pyright: ignore[reportArgumentType]


def surface_distances(front: Values, p: float) -> Values:
    """Return `(n, n)` distances along the surface of p-norm one: straight to the projected midpoint, and on."""
    on_surface = front / np.maximum(_p_norm(front, p), 1e-12)[:, None]
    middle = (on_surface[:, None] + on_surface) / 2
    middle /= np.maximum(_p_norm(middle, p), 1e-12)[..., None]
    half = np.linalg.norm(on_surface[:, None] - middle, axis=2)
    return half + half.T


def survival_scores(front: Values, corners: NDArray[np.int64], p: float) -> Values:
    """Return `(n,)`: infinite for corners; for others, taken one by one where it is largest, the score at that time.

    The score is the distance to the two nearest points taken so far, divided by the p-norm.
    """
    distances = surface_distances(front, p) / np.maximum(_p_norm(front, p), 1e-12)[:, None]
    scores = np.zeros(len(front))
    scores[corners] = np.inf
    taken, left = list(corners), np.setdiff1d(np.arange(len(front)), corners)
    while len(left):
        nearest = np.sort(distances[np.ix_(left, taken)], axis=1)[:, :2].sum(axis=1)
        best = int(np.argmax(nearest))
        scores[left[best]] = nearest[best]
        taken.append(int(left[best]))
        left = np.delete(left, best)
    return scores


def _p_norm(points: Values, p: float) -> Values:
    return (np.abs(points) ** p).sum(axis=-1) ** (1 / p)
