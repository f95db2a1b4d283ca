"""Flip rates and their intervals: by hand, against tables, and how often they hold what samples were drawn with."""

import numpy as np
import pytest
from secateur.evaluation.answers import Answers
from secateur.evaluation.flips import clustered_interval, flip_rate, share_interval
from secateur.tasks import KINDS, Split
from secateur.tasks.agreement import agreement

DRAWS = 1000
LEAST = 0.95 - 3 * np.sqrt(0.95 * 0.05 / DRAWS)  # what chance in the draws leaves of 95 %


def test_a_share_has_the_exact_interval():
    # No flip among n texts: the upper end is where none has a probability of 2.5 %.
    assert share_interval(0, 100) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 100)))
    assert share_interval(100, 100).low == pytest.approx(0.025 ** (1 / 100))
    # Ten of a hundred, as tables of Clopper and Pearson have it.
    assert share_interval(10, 100) == pytest.approx((0.1, 0.0490, 0.1762), abs=1e-4)


@pytest.mark.parametrize("rate", [0.005, 0.02, 0.2])
@pytest.mark.parametrize("texts", [100, 2000])
def test_the_interval_holds_the_rate_that_samples_are_drawn_with(rate, texts):
    counts = np.random.default_rng(0).binomial(texts, rate, DRAWS)
    found = {int(count): share_interval(int(count), texts) for count in np.unique(counts)}
    assert np.mean([found[int(c)].low <= rate <= found[int(c)].high for c in counts]) >= LEAST
    assert np.mean([rate <= found[int(c)].high for c in counts]) >= LEAST  # what `pick` goes by


@pytest.mark.parametrize("rate", [0.02, 0.2])
@pytest.mark.parametrize("together", [0.05, 0.3])
def test_words_that_flip_together_make_the_interval_wider(rate, together):
    rng, holds, naive = np.random.default_rng(1), [], []
    strength = 1 / together - 1  # of the Beta distribution whose draws have this intra-class correlation
    for _ in range(DRAWS):
        words = rng.integers(5, 26, 300)
        own = rng.beta(strength * rate, strength * (1 - rate), 300)
        flips = rng.binomial(words, own)
        found = clustered_interval(flips, words)
        holds.append(found.low <= rate <= found.high)
        as_if_independent = share_interval(int(flips.sum()), int(words.sum()))
        naive.append(as_if_independent.low <= rate <= as_if_independent.high)
    assert np.mean(holds) >= 0.92  # it is not exact, and few sentences with all flips are seen or not
    assert np.mean(naive) < np.mean(holds)


def test_the_same_tags_are_as_sure_as_so_many_sentences():
    words = np.array([3, 9, 0, 5])
    assert clustered_interval(np.zeros(4, int), words) == pytest.approx((0, 0, 1 - 0.025 ** (1 / 3)))
    assert clustered_interval(words, words)[::2] == (1, 1)
    one = clustered_interval(np.array([1, 0, 0, 1]), words)
    assert (one.rate, 0 <= one.low < one.rate < one.high <= 1) == (pytest.approx(2 / 17), True)
    assert np.isnan(clustered_interval(np.zeros(1, int), np.zeros(1, int)).rate)


def rate_of(name, ours, theirs, **parts):
    """The flip rate of outputs against those of a model that answered."""
    kind, rows = KINDS[name], len(theirs)
    empty = Split([np.ones(1, np.int32)] * rows, None, np.zeros(rows, np.int64), **parts)
    split = kind.answered(theirs, empty)
    return flip_rate(Answers.of(agreement(kind), [ours], [split]))


def test_classes_and_numbers():
    theirs = np.eye(3)[[0, 1, 2, 2]]
    assert rate_of("classification", np.eye(3)[[0, 2, 2, 2]], theirs) == share_interval(1, 4)
    numbers = np.array([[1.0], [2.0], [3.0], [6.0]])
    found = rate_of("regression", numbers + np.array([[0.5], [0.0], [-0.5], [1.0]]), numbers)
    assert found.rate == pytest.approx(2 / (1.5 + 0.5 + 0.5 + 3.5))  # over the distances from the median, 2.5
    assert found.low <= found.rate <= found.high
    assert rate_of("regression", np.full((4, 1), 2.5), numbers).rate == pytest.approx(1)
    assert rate_of("regression", numbers, numbers).rate == 0
