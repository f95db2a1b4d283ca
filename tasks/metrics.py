"""Scores of outputs: higher is better, 1 is perfect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown_name
from . import class_scores
from .class_scores import correlation, cuts_of
from .kinds import KINDS, Kind, KindName, embedding
from .paths import own_function
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
        also: names of other kinds that it judges as well; see `metric_of`.
        seldom: it is told where it is asked for, not beside every other metric of its kind.
        thresholded: what it judges is decided by thresholds where a text may have several labels.
        is_complement: the score is 1 - what the name says, so that the error is what it says.
        floor: the precision that a recall is asked for at; None for other metrics.
        of_pairs: it judges splits of scored pairs alone.
    """

    name: str
    kind: Kind
    of_compared: Callable[..., float]
    is_mean: bool = False
    positive: int | None = None
    also: tuple[KindName, ...] = ()
    seldom: bool = False
    thresholded: bool = False
    is_complement: bool = False
    floor: float | None = None
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

    def of_class(self, number: int | None) -> Metric:
        """Return a score of a class as that of another one, given its number; None for the mean over all labels."""
        return replace(self, of_compared=partial(self.of_compared, positive=number), positive=number)

    def at_precision(self, floor: float) -> Metric:
        """Return a recall as that at another precision."""
        return replace(self, of_compared=partial(self.of_compared, precision=floor), floor=floor)

    def at(self, thresholds: tuple[float, ...]) -> Metric:
        """Return the metric with labels said from these probabilities on, rather than from 0.5."""
        if not self.thresholded:
            return self
        return replace(self, of_compared=partial(self.of_compared, cuts=cuts_of(thresholds)))

    def title(self, label_names: tuple[str, ...]) -> str:
        """Return the name with all that it depends on: "recall_at_precision 0.9 of fraud"."""
        name = f"1 - {self.name}" if self.is_complement else self.name
        name += "" if self.floor is None else f" {self.floor:g}"
        return name if self.positive is None else f"{name} of {label_names[self.positive]}"


def _pearson(predictions: np.ndarray, labels: np.ndarray) -> float:
    return correlation(predictions[:, None], labels[:, None])


def _spearman(predictions: np.ndarray, labels: np.ndarray) -> float:
    return _pearson(_ranks(predictions), _ranks(labels))


def _ranks(values: np.ndarray) -> NDArray[np.float64]:
    """Rank from 1, ties sharing their mean rank, `(n,)`."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def _mean_of(scores: np.ndarray, _: np.ndarray, *, column: int) -> float:
    return float(scores[:, column].mean())


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


def _sts_spearman(answers: np.ndarray, scores: np.ndarray) -> float:
    return _spearman(answers[:, embedding.LIKENESS], scores[:, 0])


_CLASSES, _NUMBERS, _LABELS = KINDS["classification"], KINDS["regression"], KINDS["multilabel"]
_RANKS, _ANSWERS, _TAGS = KINDS["ranking"], KINDS["question-answering"], KINDS["token-classification"]
_VECTORS = KINDS["embedding"]
_both = partial(Metric, kind=_CLASSES, also=("multilabel",))  # of one class of several, or of one label
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _CLASSES, class_scores.accuracy, is_mean=True),
        # Of the second class, as GLUE scores MRPC and QQP; see `Metric.of_class`.
        _both("f1", of_compared=class_scores.f1, positive=1, thresholded=True),
        Metric("matthews", _CLASSES, class_scores.matthews),
        Metric("balanced_accuracy", _CLASSES, class_scores.balanced_accuracy, seldom=True),
        Metric("log_loss", _CLASSES, class_scores.log_loss, is_complement=True, seldom=True),
        Metric("calibration_error", _CLASSES, class_scores.calibration_error, is_complement=True, seldom=True),
        _both("auroc", of_compared=class_scores.auroc, seldom=True),
        _both("average_precision", of_compared=class_scores.average_precision, positive=1, seldom=True),
        _both("recall_at_precision", of_compared=class_scores.recall_at_precision, positive=1, floor=0.9, seldom=True),
        Metric("micro_f1", _LABELS, class_scores.micro_f1, thresholded=True),
        Metric("macro_f1", _LABELS, class_scores.macro_f1, also=("classification",), thresholded=True),
        _both("weighted_f1", of_compared=class_scores.weighted_f1, thresholded=True, seldom=True),
        Metric("pearson", _NUMBERS, _pearson),
        Metric("spearman", _NUMBERS, _spearman),
        Metric("ndcg@10", _RANKS, partial(_mean_of, column=0), is_mean=True),
        Metric("mrr@10", _RANKS, partial(_mean_of, column=1), is_mean=True),
        Metric("map", _RANKS, partial(_mean_of, column=2), is_mean=True),
        Metric("exact_match", _ANSWERS, _exact_match, is_mean=True),
        Metric("squad_f1", _ANSWERS, _squad_f1, is_mean=True),
        Metric("entity_f1", _TAGS, _entity_f1),
        Metric("token_accuracy", _TAGS, _token_accuracy),
        Metric("agreement", _VECTORS, partial(_mean_of, column=embedding.AGREEMENT)),
        Metric("retrieval_recall", _VECTORS, partial(_mean_of, column=embedding.RECALL), is_mean=True),
        Metric("retrieval_ndcg", _VECTORS, partial(_mean_of, column=embedding.NDCG), is_mean=True),
        Metric("sts_spearman", _VECTORS, _sts_spearman, of_pairs=True),
    )
}


def metric_of(name: str, kind: KindName, positive: int | None = None, floor: float | None = None) -> Metric:
    """Return a metric of tasks of a kind.

    Args:
        name: one of METRICS that judges the kind, or the path of the user's own, which is imported.
        kind: what it judges.
        positive: the class whose score it is, if it is one class's; None for the mean over labels.
        floor: the precision that a recall is asked for at; None for 0.9.
    """
    if name not in METRICS:
        return Metric(name, KINDS[kind], own_function(name, "metric"))
    metric = replace(METRICS[name], kind=KINDS[kind])
    if metric.positive is not None:
        metric = metric.of_class(positive)
    return metric if floor is None or metric.floor is None else metric.at_precision(floor)


def companions(metric: Metric, num_labels: int, positive: int = 1) -> tuple[Metric, ...]:
    """Return the other metrics that are told of the same task; F1, of two classes, is that of the positive one."""
    own = (one for one in METRICS.values() if one.kind.name == metric.kind.name and one.name != metric.name)
    fitting = (one if one.positive is None else one.of_class(positive) for one in own if not one.seldom)
    return tuple(one for one in fitting if one.positive is None or num_labels == 2)


def metrics_of(kind: KindName) -> list[str]:
    """Return the names of the metrics that judge a kind, sorted."""
    return sorted(metric.name for metric in METRICS.values() if kind in (metric.kind.name, *metric.also))


def metric_name(name: str | None, kind: KindName, usual: str) -> str:
    """Return the name of the metric of a task, ``usual`` for None; a path is a metric of the user's own.

    Raises:
        InputError: an unknown metric, or one of another kind.
    """
    if name is None:
        return usual
    if ":" in name and not KINDS[kind].per_token:
        return name
    fitting = metrics_of(kind)
    if name not in METRICS:
        raise unknown_name("metric", name, fitting)
    if name not in fitting:
        judged = METRICS[name].kind.name
        raise InputError(f"the metric {name} judges a {judged}, but the labels are a {kind}; use {', '.join(fitting)}")
    return name
