"""What a subnetwork is measured on: tokenised splits and a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["classification", "regression"]


@dataclass(frozen=True)
class Split:
    """Tokenised texts and their labels; special tokens included, nothing padded.

    Attributes:
        input_ids: `n` arrays `(tokens,)` int32.
        token_type_ids: the same shapes; None for a tokenizer that makes none.
        labels: `(n,)` int64 (classification) or float32 (regression).

    Raises:
        ValueError: parts of different length.
    """

    input_ids: list[NDArray[np.int32]]
    token_type_ids: list[NDArray[np.int32]] | None
    labels: NDArray[np.int64] | NDArray[np.float32]

    def __post_init__(self) -> None:
        sizes = {"input_ids": len(self.input_ids), "labels": len(self.labels)}
        if self.token_type_ids is not None:
            sizes["token_type_ids"] = len(self.token_type_ids)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the parts of a Split must have one length, got {sizes}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Split:
        """Return the given rows, in their order."""
        types = self.token_type_ids
        return Split(
            [self.input_ids[i] for i in rows], None if types is None else [types[i] for i in rows], self.labels[rows]
        )

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, `(n,)`."""
        return np.fromiter(map(len, self.input_ids), np.int64, count=len(self.input_ids))


@dataclass(frozen=True)
class Metric:
    """A score of a model's outputs against labels: higher is better, 1 is perfect.

    Attributes:
        name: as in METRICS.
        of_predictions: `(n,)` predictions and `(n,)` labels to the score.
        kind: which tasks it can judge; decides what a prediction is (the largest logit, or the output itself).
    """

    name: str
    kind: Kind
    of_predictions: Callable[[np.ndarray, np.ndarray], float]

    def score(self, outputs: np.ndarray, labels: np.ndarray) -> float:
        """Return the score of `(n, c)` logits, or of `(n, 1)` regression outputs, against labels `(n,)`.

        Raises:
            ValueError: shapes that do not fit, or an output that is not a number.
        """
        if outputs.ndim != 2 or outputs.shape[:1] != labels.shape or not len(labels):
            raise ValueError(
                f"{self.name} needs outputs (n, c) and labels (n,), got {outputs.shape} and {labels.shape}"
            )
        if np.isnan(outputs).any():
            raise ValueError(f"{self.name} cannot judge outputs that are NaN; has the training diverged?")
        if self.kind == "regression":
            if outputs.shape[1] != 1:
                raise ValueError(f"{self.name} judges one number per text, got outputs {outputs.shape}")
            return float(self.of_predictions(outputs[:, 0].astype(np.float64), labels.astype(np.float64)))
        return float(self.of_predictions(outputs.argmax(axis=1), labels))

    def error(self, outputs: np.ndarray, labels: np.ndarray) -> float:
        """Return `1 - score`, lower is better: what a search minimises."""
        return 1.0 - self.score(outputs, labels)


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(predictions == labels))


def _f1(predictions: np.ndarray, labels: np.ndarray) -> float:
    """F1 of class 1, as GLUE scores MRPC and QQP; 0 when class 1 neither occurs nor is predicted."""
    hits = np.sum((predictions == 1) & (labels == 1))
    total = np.sum(predictions == 1) + np.sum(labels == 1)
    return float(2 * hits / total) if total else 0.0


def _matthews(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Matthews' correlation for any number of classes; 0 for constant predictions.

    Source: Gorodkin, Comput. Biol. Chem. 2004, eq. 8: the correlation of the one-hot matrices.
    """
    classes = np.unique(np.concatenate([predictions, labels]))
    x = (predictions[:, None] == classes).astype(np.float64)
    y = (labels[:, None] == classes).astype(np.float64)
    return _correlation(x, y)


def _pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _correlation(predictions[:, None], labels[:, None])


def _spearman(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _pearson(_ranks(predictions), _ranks(labels))


def _ranks(values: np.ndarray) -> NDArray[np.float64]:
    """Rank from 1, ties sharing their mean rank, `(n,)`."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlate two `(n, k)` matrices, columns centred; 0 where one of them is constant."""
    if np.all(x == x[0]) or np.all(y == y[0]):  # not left to the sums: 0.1 less its mean is not quite 0
        return 0.0
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "classification", _accuracy),
        Metric("f1", "classification", _f1),
        Metric("matthews", "classification", _matthews),
        Metric("pearson", "regression", _pearson),
        Metric("spearman", "regression", _spearman),
    )
}


@dataclass(frozen=True)
class Task:
    """A data set, tokenised for one model, and its metric.

    Attributes:
        name: as in TASKS.
        kind: "classification" or "regression".
        label_names: the name of each class; `("score",)` for regression.
        metric: how outputs are judged.
        train: what weights are fitted on.
        selection: held out of train; what a search or a pruner chooses on.
        report: the published validation splits by name, each looked at once per reported model.
        pad_token_id: fills up short rows of a batch.
        truncated: texts of all splits that were cut because they are longer than the model's positions.
        fingerprint: hash of data, tokenisation and splits; identifies the data in run.json.
        is_pair: each text is a pair of texts.
    """

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metric: Metric
    train: Split
    selection: Split
    report: dict[str, Split]
    pad_token_id: int
    truncated: int
    fingerprint: str
    is_pair: bool

    @property
    def num_labels(self) -> int:
        """Outputs a model of this task has: one per class, 1 for regression."""
        return len(self.label_names)
