"""What searches cover of the space between the whole network and none at all, and how that grew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...evaluation.evaluation import Evaluation
from ...evaluation.objectives import ERROR
from ...evaluation.pareto import normalised_hypervolume
from ...evaluation.report.facts import Curve
from ..recipes import label

_SIZE = "encoder_parameters"


@dataclass(frozen=True)
class Box:
    """Bounds of (error, encoder parameters) on the selection split that do not depend on who is compared.

    Attributes:
        ideal: the whole network's error (the lower one, where it has weights of both kinds), and no encoder.
        reference: the error of no encoder, and the whole network's size.
    """

    ideal: tuple[float, float]
    reference: tuple[float, float]

    def share(self, values: NDArray[np.float64]) -> float:
        """Return the share of the box, 0 to 1, that models cover.

        Args:
            values: `(n, 2)`, error and encoder parameters.
        """
        return normalised_hypervolume(values, self.ideal, self.reference)


def box_of(searched: Sequence[Evaluation], full_key: str) -> Box | None:
    """Return the bounds for a run's searches; None if no search evaluated both ends, or they are no box.

    Args:
        searched: what they evaluated, on the selection split.
        full_key: key of the whole network's mask.
    """
    whole = [one for one in searched if one.key == full_key]
    empty = [one for one in searched if not one.values[_SIZE]]
    if not whole or not empty:
        return None
    ideal = (min(one.values[ERROR] for one in whole), 0.0)
    reference = (max(one.values[ERROR] for one in empty), whole[0].values[_SIZE])
    return Box(ideal, reference) if ideal[0] < reference[0] and ideal[1] < reference[1] else None


def covered(searched: Sequence[Evaluation], box: Box, of: Callable[[Evaluation], str]) -> dict[str, float]:
    """Return the share of the box that each group of searched models covers, by what `of` calls a model's group."""
    return {name: box.share(_values(rows)) for name, rows in _grouped(searched, of).items()}


def growth(searched: Sequence[Evaluation], box: Box) -> tuple[Curve, ...]:
    """Return how the share of the box grew with what each searcher asked for; steps where it did not are left out."""
    return tuple(_curve(method, rows, box) for method, rows in _grouped(searched, label).items())


def _curve(method: str, rows: list[Evaluation], box: Box) -> Curve:
    values, asked = _values(rows), np.cumsum([one.asked for one in rows])
    last = np.flatnonzero(np.diff(asked, append=asked[-1] + 1))  # what came for free belongs to the pass before it
    shares = [box.share(values[: i + 1]) for i in last]
    kept = [i for i, share in enumerate(shares) if i in (0, len(shares) - 1) or share != shares[i - 1]]
    return Curve(method, tuple(int(asked[last[i]]) for i in kept), tuple(shares[i] for i in kept))


def _grouped(searched: Sequence[Evaluation], of: Callable[[Evaluation], str]) -> dict[str, list[Evaluation]]:
    groups: dict[str, list[Evaluation]] = {}
    for one in searched:
        groups.setdefault(of(one), []).append(one)
    return groups


def _values(rows: list[Evaluation]) -> NDArray[np.float64]:
    return np.array([(one.values[ERROR], one.values[_SIZE]) for one in rows], dtype=float)
