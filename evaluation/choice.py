"""Choosing one model: which candidates budgets leave, and how sure one can be of an error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

from ..tasks.metrics import Metric
from ..tasks.split import Split
from .evaluation import Evaluation
from .evaluator import ROWS
from .objectives import ERROR, Objective
from .pareto import is_front

DEFAULT_COST = "encoder_parameters"  # orders models where no cost has a budget
_RESAMPLES = 1000


@dataclass(frozen=True)
class Candidate:
    """An evaluated model and the values it is chosen by.

    Attributes:
        evaluation: on the selection split.
        values: the error and costs, as they are known without measuring.
    """

    evaluation: Evaluation
    values: dict[str, float]


def candidates(
    evaluations: Iterable[Evaluation], names: Sequence[str], objectives: Mapping[str, Objective]
) -> list[Candidate]:
    """Return each evaluated model once, without those that failed or whose error is an estimate.

    Args:
        evaluations: of the selection split.
        names: the costs that are needed.
        objectives: compute what an evaluation does not have, and the latency, which belongs to a table rather than to
            the archive.
    """
    found: dict[tuple[str, str], Candidate] = {}
    for one in evaluations:
        if (one.key, one.weights) in found or ROWS in one.values or np.isnan(one.values[ERROR]):
            continue
        values = {ERROR: one.values[ERROR]}
        for name in names:
            known = one.values.get(name) if name != "latency_ms" else None
            values[name] = float(objectives[name].of(one.mask)) if known is None else known
        found[one.key, one.weights] = Candidate(one, values)
    return list(found.values())


def in_order(found: Sequence[Candidate], budgets: Mapping[str, float]) -> list[Candidate]:
    """Return the candidates within budgets that no other one within them beats, the best first.

    Beaten is who is worse in one of the error and the budgeted costs, and better in none. The best has the lowest
    error, of equal ones the first budgeted cost decides; where the error is the only budget, the cheapest is the best.
    """
    within = [one for one in found if all(one.values[name] <= limit for name, limit in budgets.items())]
    costs = cost_names(budgets)
    kept = [one for one, best in zip(within, is_front(_matrix(within, (ERROR, *costs))), strict=True) if best]
    keys = (costs[0], ERROR) if set(budgets) == {ERROR} else (ERROR, *costs)
    return sorted(kept, key=lambda one: tuple(one.values[name] for name in keys))


def nearest(found: Sequence[Candidate], budgets: Mapping[str, float]) -> Candidate:
    """Return the candidate whose largest relative excess over a budget is smallest."""
    return min(found, key=lambda one: max(one.values[name] / limit for name, limit in budgets.items()))


def neighbours(found: Sequence[Candidate], chosen: Candidate, cost: str) -> tuple[Candidate | None, Candidate | None]:
    """Return the next cheaper and the next dearer model of the front of error against a cost, None where it ends."""
    front = [one for one, best in zip(found, is_front(_matrix(found, (ERROR, cost))), strict=True) if best]
    others = sorted((one for one in front if one is not chosen), key=lambda one: one.values[cost])
    cheaper = [one for one in others if one.values[cost] < chosen.values[cost]]
    dearer = [one for one in others if one.values[cost] > chosen.values[cost]]
    return (cheaper[-1] if cheaper else None), (dearer[0] if dearer else None)


def cost_names(budgets: Mapping[str, float]) -> tuple[str, ...]:
    """Return the costs that have a budget, or the default one."""
    return tuple(name for name in budgets if name != ERROR) or (DEFAULT_COST,)


def _matrix(found: Sequence[Candidate], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[one.values[name] for name in names] for one in found], dtype=float).reshape(-1, len(names))


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
    return _interval(one, lambda *rows: one.error(*rows) - other.error(*rows), seed)


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
