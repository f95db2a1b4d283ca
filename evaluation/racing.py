"""Racing: a subnetwork that cannot reach the front any more is stopped before it has seen all texts.

The rule. The texts come hardest first. After a share of them, a subnetwork's error if it answered all the others
*right* is a bound that no outcome can undercut. As soon as that bound is not below the error of a fully evaluated
subnetwork that costs no more in any objective, the rest cannot change that it is dominated, and it is stopped. The rule
makes no mistake: its error rate is 0, nothing is assumed about the order of the texts, and there is no confidence level
to choose.

Races stop candidates by the confidence interval of a mean over rows in random order (Maron and Moore, "Hoeffding
races", NIPS 1993; Mnih et al., "Empirical Bernstein stopping", ICML 2008), or by tests on paired differences (F-race,
Birattari et al., GECCO 2002). On the 0/1 losses of 2,048 SST-2 texts the exact ones of these (hypergeometric, and the
sign test on pairs, at 5 %) saved 10 to 15 % of the work on NSGA-II's offspring, most of which are within the noise of
the front. Most errors are made on the hardest quarter of the texts, so that with these first the certain bound alone
saved 45 %.

Which texts are hard is what a few fixed subnetworks say, the whole one and two uniform ones with all their depths, so
it depends on the supernet and the split only: every process finds the same order.

A stopped subnetwork is told its *estimated* error: its own answers where it has given them, elsewhere those of the one
of these fixed subnetworks that made about as many errors on the same texts. It is never below the bound, so never below
the front's, and says how many rows are its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..search_space import EncoderShape, SubnetMask
from ..tasks.metrics import Metric
from .objectives import ERROR

SHARES = (0.25, 0.5, 1.0)  # of the texts, after each of which is looked
_BOUNDED = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "weighted_f1")
_PROBES = (1.0, 0.5, 0.25)  # of the heads and of the neurons


class Outcome(NamedTuple):
    """The error of a subnetwork: of all rows of a split, or of a race that was stopped.

    Attributes:
        error: `1 - score`; an estimate if the race was stopped, NaN where outputs are not numbers.
        rows: on how many rows of its own an estimate rests; None if it is no estimate.
    """

    error: float
    rows: int | None = None


class FrontLimits:
    """What a subnetwork must undercut: the best error among those that cost no more in any objective.

    Args:
        costs: names of all objectives but the error. A subnetwork that is stopped is on the front of no choice of them.
        known: values of fully evaluated subnetworks.
    """

    def __init__(self, costs: Sequence[str], known: Iterable[Mapping[str, float]] = ()) -> None:
        self._names = tuple(costs)
        self._errors: list[float] = []
        self._costs: list[list[float]] = []
        for values in known:
            self.add(values[ERROR], values)

    def add(self, error: float, costs: Mapping[str, float]) -> None:
        """Take a fully evaluated subnetwork; one that is dominated, or failed, limits nobody."""
        if error < self.of(costs):
            self._errors.append(error)
            self._costs.append([costs.get(name, math.nan) for name in self._names])  # NaN limits nobody

    def of(self, costs: Mapping[str, float]) -> float:
        """Return the error that a subnetwork of such costs must be below to reach a front; infinity if any will do."""
        if not self._errors:
            return math.inf
        own = np.array([costs[name] for name in self._names])
        cheaper = (np.array(self._costs) <= own).all(axis=1)
        return float(np.array(self._errors)[cheaper].min(initial=math.inf))


def probes(shape: EncoderShape) -> list[SubnetMask]:
    """Return the subnetworks that tell which texts are hard, the whole one first."""

    def kept(share: float, count: int) -> list[int]:
        return [max(1, round(share * count))] * shape.num_layers

    return [
        SubnetMask.from_counts(shape, kept(share, shape.num_heads), kept(share, shape.intermediate_size))
        for share in _PROBES
    ]


def hardness(logits: NDArray[np.float32], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the probability `(n,)` that logits `(n, C)` leave to the wrong classes; 1 where they are not numbers."""
    scaled = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    right = scaled[np.arange(len(labels)), labels] / scaled.sum(axis=1)
    return 1.0 - np.nan_to_num(right)


def stages(hard: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Cut the rows `(n,)`, the hardest first, after each of SHARES; stages without a row are left out."""
    order = np.argsort(-hard, kind="stable")
    ends = [round(share * len(order)) for share in SHARES]
    return [part for part in np.split(order, ends[:-1]) if len(part)]


def check_racing(metric: Metric, classes: int) -> None:
    """Refuse a metric that a right answer could make worse, for which the bound would not hold.

    Accuracy, also that of each class, and F1 never fall when a wrong answer is corrected, nor does Matthews'
    correlation of two classes. Nothing of the kind holds for correlations of numbers, nor for scores that are not of
    decisions.

    Raises:
        InputError: another metric.
    """
    name = metric.kind.name
    bounded = metric.name in _BOUNDED or (metric.name == "matthews" and classes == 2)
    if name != "classification" or not bounded:
        raise InputError(
            "`racing` needs accuracy, an F1, or matthews of two classes, which a right answer cannot lower; this "
            f"task's metric is {metric.name}{f' of {classes} classes' if name == 'classification' else ''}; search "
            "without it"
        )
