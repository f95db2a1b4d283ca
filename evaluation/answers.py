"""What a model answered on a split, and how sure one can be of its error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from ..tasks.metrics import Metric
from ..tasks.split import Split

_RESAMPLES = 1000


@dataclass(frozen=True)
class Answers:
    """A model's predictions on one or several data sets of a split, whose errors are averaged.

    Attributes:
        metric: how they are judged.
        sets: of each data set what is compared, answers and references, `(m, ...)` each.
    """

    metric: Metric
    sets: tuple[tuple[NDArray, NDArray], ...]

    @classmethod
    def of(cls, metric: Metric, outputs: Sequence[NDArray], splits: Sequence[Split]) -> Answers:
        """Read answers off outputs `(R, C)`, one array per split."""
        both = zip(outputs, splits, strict=True)
        return cls(metric, tuple(metric.kind.compared(values, split) for values, split in both))

    def errors(self, *rows: NDArray[np.int64]) -> list[float]:
        """Return 1 - score of the given rows of each data set; of all rows if none are given."""
        chosen = rows or tuple(np.arange(len(given)) for given, _ in self.sets)
        return [
            1.0 - self.metric.of_compared(given[index], right[index])
            for (given, right), index in zip(self.sets, chosen, strict=True)
        ]

    def error(self, *rows: NDArray[np.int64]) -> float:
        """Return the mean of :meth:`errors`."""
        return float(np.mean(self.errors(*rows)))


def error_interval(answers: Answers, *, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of a model's error, for any metric; NaN where a data set has a single row.

    The rows of each data set are drawn again with replacement, 1000 times; the 2.5th and 97.5th percentiles of the
    errors. Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.

    Args:
        answers: what the model answered.
        seed: of the draws.
    """
    return _interval(answers, answers.error, seed)


def difference_interval(one: Answers, other: Answers, *, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of `one`'s error less `other`'s on the same rows: paired, as the rows are the same."""
    return mean_difference_interval([one], [other], seed=seed)


def mean_difference_interval(ones: Sequence[Answers], others: Sequence[Answers], *, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean of pairs' differences, such as those of several seeds, on the same rows."""
    pairs = list(zip(ones, others, strict=True))
    return _interval(ones[0], lambda *rows: float(np.mean([a.error(*rows) - b.error(*rows) for a, b in pairs])), seed)


def tied(difference: tuple[float, float]) -> bool:
    """Tell whether two models may well be equally good: no difference lies in the interval, or there is none."""
    low, high = difference
    return not (low > 0 or high < 0)


def _interval(answers: Answers, statistic: Callable[..., float], seed: int) -> tuple[float, float]:
    rows = tuple(np.arange(len(given)) for given, _ in answers.sets)
    if min(len(index) for index in rows) < 2:
        return float("nan"), float("nan")
    found = bootstrap(
        rows,
        statistic,
        vectorized=False,
        n_resamples=_RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)
