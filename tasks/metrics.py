"""Scores of outputs: higher is better, 1 is perfect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown_name
from .kinds import KINDS, Kind, KindName, embedding
from .split import Split


@dataclass(frozen=True)
class Metric:
    """A score of a model's outputs against labels: higher is better, 1 is perfect.

    Attributes:
        name: as in METRICS.
        kind: which tasks it can judge; decides what is compared.
        of_compared: from answers and references, `(m, ...)` each as `kind.compared` returns them, to the score.
        is_mean: the score is the mean of one number from 0 to 1 for each text or question, apart from the others.
        positive: the number of the class whose score it is; None for a score of all classes.
        of_pairs: it judges splits of scored pairs alone.
    """

    name: str
    kind: Kind
    of_compared: Callable[[np.ndarray, np.ndarray], float]
    is_mean: bool = False
    positive: int | None = None
    of_pairs: bool = False

    def score(self, outputs: np.ndarray, split: Split) -> float:
        """Return the score of outputs `(R, C)` of a split.

        Raises:
            ValueError: shapes that do not fit, or an output that is not a number.
        """
        expected = int(split.output_counts.sum())
        if outputs.ndim != 2 or len(outputs) != expected or not expected:
            raise ValueError(f"{self.name} needs outputs (R, C) with R = {expected} of at least 1, got {outputs.shape}")
        if np.isnan(outputs).any():
            raise ValueError(f"{self.name} cannot judge outputs that are NaN; has the training diverged?")
        return float(self.of_compared(*self.kind.compared(outputs, split)))

    def error(self, outputs: np.ndarray, split: Split) -> float:
        """Return `1 - score`, lower is better: what a search minimises."""
        return 1.0 - self.score(outputs, split)


def _accuracy(predictions: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(predictions == labels))


def _f1(predictions: np.ndarray, labels: np.ndarray, positive: int) -> float:
    """F1 of one class against all others; 0 when it neither occurs nor is predicted."""
    hits = np.sum((predictions == positive) & (labels == positive))
    total = np.sum(predictions == positive) + np.sum(labels == positive)
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


def _exact_match(scores: np.ndarray, _: np.ndarray) -> float:
    return _mean(scores[:, 0])


def _squad_f1(scores: np.ndarray, _: np.ndarray) -> float:
    return _mean(scores[:, 1])


def _mean(values: np.ndarray) -> float:
    """The mean, added up one after another as SQuAD's scripts do: equal to theirs, not nearly equal."""
    return float(values.cumsum()[-1] / len(values))


def _entity_f1(counts: np.ndarray, _: np.ndarray) -> float:
    """F1 of all entities of all sentences together; 0 when none occurs and none is predicted."""
    right, predicted, gold = counts[:, :3].sum(axis=0)
    return float(2 * right / (predicted + gold)) if predicted + gold else 0.0


def _token_accuracy(counts: np.ndarray, _: np.ndarray) -> float:
    """The share of all words whose tag is right; 0 where no word has one."""
    right, words = counts[:, 3:].sum(axis=0)
    return float(right / words) if words else 0.0


def _mean_of(answers: np.ndarray, _: np.ndarray, column: int) -> float:
    return float(answers[:, column].mean())


def _sts_spearman(answers: np.ndarray, scores: np.ndarray) -> float:
    return _spearman(answers[:, embedding.LIKENESS], scores[:, 0])


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", KINDS["classification"], _accuracy, is_mean=True),
        # As GLUE scores MRPC and QQP; see `f1_of`.
        Metric("f1", KINDS["classification"], partial(_f1, positive=1), positive=1),
        Metric("matthews", KINDS["classification"], _matthews),
        Metric("pearson", KINDS["regression"], _pearson),
        Metric("spearman", KINDS["regression"], _spearman),
        Metric("exact_match", KINDS["question-answering"], _exact_match, is_mean=True),
        Metric("squad_f1", KINDS["question-answering"], _squad_f1, is_mean=True),
        Metric("entity_f1", KINDS["token-classification"], _entity_f1),
        Metric("token_accuracy", KINDS["token-classification"], _token_accuracy),
        Metric("agreement", KINDS["embedding"], partial(_mean_of, column=embedding.AGREEMENT)),
        Metric("retrieval_recall", KINDS["embedding"], partial(_mean_of, column=embedding.RECALL), is_mean=True),
        Metric("retrieval_ndcg", KINDS["embedding"], partial(_mean_of, column=embedding.NDCG), is_mean=True),
        Metric("sts_spearman", KINDS["embedding"], _sts_spearman, of_pairs=True),
    )
}


def f1_of(positive: int) -> Metric:
    """Return the F1 of a class, given its number."""
    return replace(METRICS["f1"], of_compared=partial(_f1, positive=positive), positive=positive)


def companions(metric: Metric, num_labels: int, positive: int = 1) -> tuple[Metric, ...]:
    """Return the other metrics that can judge the same task; F1, of two classes, is that of the positive one."""
    fitting = (one for one in METRICS.values() if one.kind is metric.kind and one.name != metric.name)
    fitting = (f1_of(positive) if one.name == "f1" else one for one in fitting)
    return tuple(one for one in fitting if one.name != "f1" or num_labels == 2)


def metric_name(name: str | None, kind: KindName, usual: str) -> str:
    """Return the name of the metric of a task, ``usual`` for None.

    Raises:
        InputError: an unknown metric, or one of another kind.
    """
    if name is None:
        return usual
    fitting = sorted(metric.name for metric in METRICS.values() if metric.kind.name == kind)
    if name not in METRICS:
        raise unknown_name("metric", name, fitting)
    if name not in fitting:
        judged = METRICS[name].kind.name
        raise InputError(f"the metric {name} judges a {judged}, but the labels are a {kind}; use {', '.join(fitting)}")
    return name
