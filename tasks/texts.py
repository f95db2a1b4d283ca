"""Texts before tokenisation: what every loader returns, and the checks of their labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .task import Kind


@dataclass(frozen=True)
class Columns:
    """What the columns of a local file mean. Tasks with a published layout ignore it.

    Attributes:
        text: the text.
        pair: the second text of a pair; None for single texts.
        label: the label.
        kind: "classification" or "regression"; None reads it off the labels: fractions are a regression.
        metric: a name of METRICS; None takes accuracy or spearman.
    """

    text: str = "text"
    pair: str | None = None
    label: str = "label"
    kind: Kind | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Texts:
    """One split before tokenisation: `n` texts, `n` second texts or None, labels `(n,)` int64 or float32."""

    first: list[str]
    second: list[str] | None
    labels: NDArray[np.int64] | NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> Texts:
        """Return the rows at ``index``, in that order."""
        second = None if self.second is None else [self.second[i] for i in index]
        return Texts([self.first[i] for i in index], second, self.labels[index])


@dataclass(frozen=True)
class TaskTexts:
    """A data set before tokenisation: the texts of `train` and of every report split by name."""

    kind: Kind
    label_names: tuple[str, ...]
    metric: str
    train: Texts
    report: dict[str, Texts]


def class_labels(values: list[Any], names: tuple[str, ...], where: object) -> NDArray[np.int64]:
    """Return published class numbers `(n,)` after a check.

    Raises:
        InputError: a label that is not the number of one of ``names``.
    """
    labels = np.asarray(values)
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        odd = next(v for v in values if not isinstance(v, int) or not 0 <= v < len(names))
        raise InputError(
            f"{where} holds the label {odd!r}, but its labels are 0 to {len(names) - 1} ({', '.join(names)}); "
            "take a split with published labels"
        )
    return labels.astype(np.int64)


def check_two_classes(labels: np.ndarray, where: object) -> None:
    """Raise InputError if all labels `(n,)` are equal: there is nothing to learn."""
    if labels.min() == labels.max():
        raise InputError(f"all {len(labels)} labels of {where} are the same; a task needs at least two different ones")
