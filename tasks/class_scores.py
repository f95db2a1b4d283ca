"""Scores of outputs `(n, C)` against classes `(n,)`, or against 0 and 1, `(n, C)`, where a text may have several.

Intervals score a thousand resamples, so what counting can say is counted: scikit-learn takes 1 to 2.5 ms for an F1 of
1,000 texts, most of it checks, and these 0.02 to 0.1 ms. The tests compare them with scikit-learn's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_BINS = 15  # of the calibration error, as Guo et al., 2017


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The share of texts whose likeliest class is theirs."""
    return float(np.mean(outputs.argmax(axis=1) == labels))


def f1(outputs: np.ndarray, labels: np.ndarray, *, positive: int = 1, cuts: np.ndarray | float = 0.0) -> float:
    """F1 of one class against all others; 0 when it neither occurs nor is predicted."""
    predicted, gold = _decided(outputs, labels, cuts)
    return float(_f1s(predicted[:, positive : positive + 1], gold[:, positive : positive + 1])[0])


def micro_f1(outputs: np.ndarray, labels: np.ndarray, *, cuts: np.ndarray | float = 0.0) -> float:
    """F1 of all labels of all texts together; 0 when none occurs and none is predicted."""
    predicted, gold = _decided(outputs, labels, cuts)
    return float(_f1s(predicted.reshape(-1, 1), gold.reshape(-1, 1))[0])


def macro_f1(outputs: np.ndarray, labels: np.ndarray, *, cuts: np.ndarray | float = 0.0) -> float:
    """The mean F1 of classes that occur or are predicted; of labels, which a text may lack, of all."""
    predicted, gold = _decided(outputs, labels, cuts)
    scores = _f1s(predicted, gold)
    there = (predicted | gold).any(axis=0) | (labels.ndim == 2)
    return float(scores[there].mean())


def weighted_f1(outputs: np.ndarray, labels: np.ndarray, *, cuts: np.ndarray | float = 0.0) -> float:
    """The mean F1 of classes, each counted as often as it occurs; 0 where none does."""
    predicted, gold = _decided(outputs, labels, cuts)
    rows = gold.sum(axis=0)
    return float(_f1s(predicted, gold) @ rows / rows.sum()) if rows.any() else 0.0


def balanced_accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The mean, over classes that occur, of the share of their texts that are found."""
    rows = np.bincount(labels, minlength=outputs.shape[1])
    found = np.bincount(labels[outputs.argmax(axis=1) == labels], minlength=outputs.shape[1])
    return float((found[rows > 0] / rows[rows > 0]).mean())


def matthews(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Matthews' correlation for any number of classes; 0 for constant predictions.

    Source: Gorodkin, Comput. Biol. Chem. 2004, eq. 8: the correlation of the one-hot matrices.
    """
    predicted, gold = _decided(outputs, labels, 0.0)
    return correlation(predicted.astype(np.float64), gold.astype(np.float64))


def auroc(outputs: np.ndarray, labels: np.ndarray, *, positive: int | None = None) -> float:
    """The chance that a text of a class gets a higher score for it than one of another: 0.5 tells nothing.

    Of two classes it is the same for both; of more, and of labels, the mean over those that occur and not everywhere,
    unless `positive` names one. Mann and Whitney's U, of `scipy.stats.rankdata`.
    """
    from scipy.stats import rankdata

    scores, gold = _one_against_others(outputs, labels, positive)
    rows = gold.sum(axis=0)
    there = (rows > 0) & (rows < len(gold))
    if not there.any():
        return 0.5
    scores, gold, rows = scores[:, there], gold[:, there], rows[there]
    ranks = (rankdata(scores, axis=0) * gold).sum(axis=0)
    return float(((ranks - rows * (rows + 1) / 2) / (rows * (len(gold) - rows))).mean())


def average_precision(outputs: np.ndarray, labels: np.ndarray, *, positive: int | None = 1) -> float:
    """The mean precision at each text of a class, the likeliest first; of labels the mean over those that occur."""
    from sklearn.metrics import average_precision_score

    scores, gold = _one_against_others(outputs, labels, positive)
    there = np.flatnonzero(gold.any(axis=0))
    return float(np.mean([average_precision_score(gold[:, i], scores[:, i]) for i in there])) if len(there) else 0.0


def recall_at_precision(
    outputs: np.ndarray, labels: np.ndarray, *, positive: int | None = 1, precision: float = 0.9
) -> float:
    """The largest share of a class that a threshold finds while so much of what it finds is right; 0 if none does."""
    from sklearn.metrics import precision_recall_curve

    scores, gold = _one_against_others(outputs, labels, positive)
    best = []
    for column in np.flatnonzero(gold.any(axis=0)):
        precisions, recalls, _ = precision_recall_curve(gold[:, column], scores[:, column])
        best.append(recalls[precisions >= precision].max())  # its last point finds nothing, and is never wrong
    return float(np.mean(best)) if best else 0.0


def log_loss(outputs: np.ndarray, labels: np.ndarray) -> float:
    """1 - the mean of `-log p(class)`, natural."""
    from scipy.special import log_softmax

    return 1.0 + float(log_softmax(outputs, axis=1)[np.arange(len(labels)), labels].mean())


def calibration_error(outputs: np.ndarray, labels: np.ndarray) -> float:
    """1 - the expected calibration error: how far confidence is from accuracy, over 15 equal bins of confidence.

    Source: Guo et al., ICML 2017, eq. 3.
    """
    from scipy.special import softmax

    likelihoods = softmax(outputs, axis=1)
    confidence, right = likelihoods.max(axis=1), outputs.argmax(axis=1) == labels
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, right.astype(np.float64) - confidence, _BINS)
    return 1.0 - float(np.abs(gaps).sum() / len(labels))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Correlate two `(n, k)` matrices, columns centred; 0 where one of them is constant."""
    if np.all(x == x[0]) or np.all(y == y[0]):  # not left to the sums: 0.1 less its mean is not quite 0
        return 0.0
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return float(np.sum(x * y) / np.sqrt(np.sum(x * x) * np.sum(y * y)))


def best_thresholds(outputs: np.ndarray, labels: np.ndarray) -> tuple[float, ...]:
    """Return for each label the probability from which on saying it has the highest F1; 0.5 for one that never occurs.

    Between two texts' probabilities it is their middle. Of thresholds that are equally good, the one nearest to 0.5.

    Args:
        outputs: `(n, C)` logits.
        labels: `(n, C)`, 0 or 1.
    """
    from scipy.special import expit
    from sklearn.metrics import precision_recall_curve

    found = []
    for scores, gold in zip(expit(outputs.astype(np.float64)).T, labels.T, strict=True):
        if not gold.any():
            found.append(0.5)
            continue
        precision, recall, at = precision_recall_curve(gold, scores)
        both = (precision + recall)[:-1]
        f1s = np.divide(2 * (precision * recall)[:-1], both, out=np.zeros_like(both), where=both > 0)
        middles = (at + np.append(0.0, at[:-1])) / 2
        best = np.flatnonzero(f1s >= f1s.max() - 1e-12)
        found.append(float(middles[best[np.abs(middles[best] - 0.5).argmin()]]))
    return tuple(found)


def cuts_of(thresholds: tuple[float, ...]) -> NDArray[np.float64]:
    """Return probabilities as logits.

    Raises:
        InputError: one that is not between 0 and 1.
    """
    values = np.asarray(thresholds, np.float64)
    if not ((values > 0) & (values < 1)).all():
        raise InputError(f"thresholds are probabilities between 0 and 1, got {list(thresholds)}")
    return np.log(values / (1 - values))


def _decided(
    outputs: np.ndarray, labels: np.ndarray, cuts: np.ndarray | float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what is predicted and what is right, `(n, C)` each."""
    if labels.ndim == 2:
        return outputs > cuts, labels > 0
    classes = np.arange(outputs.shape[1])
    return outputs.argmax(axis=1)[:, None] == classes, labels[:, None] == classes


def _f1s(predicted: NDArray[np.bool_], gold: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the F1 of each column, `(C,)`; 0 when it neither occurs nor is predicted."""
    hits, total = (predicted & gold).sum(axis=0), predicted.sum(axis=0) + gold.sum(axis=0)
    return 2 * hits / np.maximum(total, 1)


def _one_against_others(
    outputs: np.ndarray, labels: np.ndarray, positive: int | None
) -> tuple[np.ndarray, NDArray[np.bool_]]:
    """Return scores and which texts are of the class, `(n, 1)` of the positive one, else `(n, C)` of all."""
    if labels.ndim == 2:
        scores, gold = outputs, labels > 0
    else:
        # Log-odds: of two classes the difference of their logits, and finer than probabilities, which round to 1.
        largest = outputs.max(axis=1, keepdims=True)
        powers = np.exp((outputs - largest).astype(np.float64))
        others = np.maximum(powers.sum(axis=1, keepdims=True) - powers, np.finfo(np.float64).tiny)
        scores = (outputs - largest) - np.log(others)
        gold = labels[:, None] == np.arange(outputs.shape[1])
    return (scores, gold) if positive is None else (scores[:, [positive]], gold[:, [positive]])
