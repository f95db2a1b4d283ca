"""How much one model answers otherwise than another, and how sure one can be of that."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binomtest, t

from .answers import Answers, error_interval

_OUTSIDE = 0.05  # of a 95 % interval


class FlipRate(NamedTuple):
    """A flip rate and its 95 % interval."""

    rate: float
    low: float
    high: float


def flip_rate(answers: Answers, *, seed: int = 0) -> FlipRate:
    """Return the flip rate of answers to a single data set that are judged by agreement.

    Texts and questions are answered otherwise or not, each by itself: the interval is the exact one of a share (Clopper
    and Pearson, Biometrika 1934), which holds for the fewest flips, too. Words of one sentence are not independent: see
    :func:`clustered_interval`. Of numbers it is a bootstrap's over the texts (:func:`~.answers.error_interval`).

    Args:
        answers: of `agreement(kind)`, on a split that the other model answered.
        seed: of the bootstrap.
    """
    ((given, right),) = answers.sets
    kind = answers.metric.kind
    otherwise, all_of_it = kind.flips(given, right)
    if not np.issubdtype(otherwise.dtype, np.integer):
        return FlipRate(answers.error(), *error_interval(answers, seed=seed))
    if kind.flips_whole:
        return share_interval(int(otherwise.sum()), len(otherwise))
    return clustered_interval(otherwise, all_of_it)


def share_interval(flips: int, texts: int) -> FlipRate:
    """Return the share of texts that flipped, with its exact interval."""
    found = binomtest(flips, texts).proportion_ci(1 - _OUTSIDE, method="exact")
    return FlipRate(flips / texts, float(found.low), float(found.high))


def clustered_interval(flips: NDArray[np.integer], words: NDArray[np.integer]) -> FlipRate:
    """Return the share of words that flipped, with an interval that knows that words come in sentences.

    The exact interval of as many independent words as would vary so much from sentence to sentence; where none or all
    have flipped, and nothing tells that number, of as many as there are sentences.

    Source: Korn and Graubard, "Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data", Survey Methodology 1998.

    Args:
        flips: `(m,)`, words of each sentence that flipped.
        words: `(m,)`, all of them.
    """
    told = words > 0  # a sentence may have been cut to nothing that is judged
    flips, words = flips[told], words[told]
    sentences, total = len(words), float(words.sum())
    if not sentences:
        return FlipRate(float("nan"), float("nan"), float("nan"))
    rate = float(flips.sum()) / total
    apart = float(np.square(flips - rate * words).sum())
    size = float(sentences)
    if apart and sentences > 1:
        variance = sentences / (sentences - 1) * apart / total**2
        tails = t.ppf(_OUTSIDE / 2, total - 1) / t.ppf(_OUTSIDE / 2, sentences - 1)
        size = min(total, rate * (1 - rate) / variance * tails**2)
    count = rate * size
    low = 0.0 if not flips.any() else float(beta.ppf(_OUTSIDE / 2, count, size - count + 1))
    high = 1.0 if rate == 1 else float(beta.ppf(1 - _OUTSIDE / 2, count + 1, size - count))
    return FlipRate(rate, low, high)
