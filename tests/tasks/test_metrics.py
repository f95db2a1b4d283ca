"""Metrics against values that were published or are worked out by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from secateur.tasks import METRICS, Split
from secateur.tasks.metrics import companions, f1_of
from sklearn.metrics import f1_score, matthews_corrcoef

NUMBERS = [name for name, metric in METRICS.items() if metric.kind.head == "sequence-classification"]


def logits(predictions, classes=2):
    return np.eye(classes)[predictions]


def score(name, outputs, labels):
    """The score on texts of one token with these labels."""
    return METRICS[name].score(outputs, Split([np.zeros(1, np.int32)] * len(labels), None, np.asarray(labels)))


def test_accuracy_by_hand():
    outputs = np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 0.0], [0.0, 1.0]])
    assert score("accuracy", outputs, np.array([0, 1, 1, 1])) == 0.75
    split = Split([np.zeros(1, np.int32)] * 4, None, np.array([0, 1, 1, 1]))
    assert METRICS["accuracy"].error(outputs, split) == 0.25


def test_f1_by_hand():
    # 2 hits, 1 false alarm, 1 miss: 2 * 2 / (2 * 2 + 1 + 1)
    assert score("f1", logits([1, 1, 0, 0, 1]), np.array([1, 0, 1, 0, 1])) == pytest.approx(4 / 6)


@pytest.mark.parametrize("positive", [0, 1, 2])
def test_f1_of_a_class_is_that_of_scikit_learn(positive):
    rng = np.random.default_rng(0)
    truth, found = rng.integers(0, 3, 50), rng.integers(0, 3, 50)
    expected = f1_score(truth == positive, found == positive)
    assert 0 < f1_of(positive).of_compared(found, truth) == pytest.approx(expected)
    assert f1_of(positive).positive == positive


def test_f1_beside_another_metric_is_of_the_positive_class():
    truth = np.array([0, 0, 0, 1])
    (f1,) = (one for one in companions(METRICS["accuracy"], 2, positive=1) if one.name == "f1")
    assert f1.of_compared(np.zeros(4, int), truth) == 0.0
    (f1,) = (one for one in companions(METRICS["accuracy"], 2, positive=0) if one.name == "f1")
    assert f1.of_compared(np.zeros(4, int), truth) == pytest.approx(6 / 7)
    assert "f1" not in {one.name for one in companions(METRICS["accuracy"], 3)}


def test_f1_without_any_positive_is_zero():
    assert score("f1", logits([0, 0]), np.array([0, 0])) == 0.0


def test_matthews_published_value():
    # Wikipedia, "Phi coefficient": 6 true positives, 3 true negatives, 1 false positive, 2 false negatives: 0.478
    labels = np.array([1] * 8 + [0] * 4)
    predictions = np.array([1] * 6 + [0] * 2 + [1] + [0] * 3)
    found = score("matthews", logits(predictions), labels)
    assert found == pytest.approx((6 * 3 - 1 * 2) / np.sqrt(7 * 8 * 4 * 5))
    assert round(found, 3) == 0.478


def test_spearman_published_value():
    # Wikipedia, "Spearman's rank correlation coefficient": IQ and hours of television: -29 / 165
    iq = np.array([106, 100, 86, 101, 99, 103, 97, 113, 112, 110], np.float32)
    hours = np.array([7, 27, 2, 50, 28, 29, 20, 12, 6, 17], np.float32)
    assert score("spearman", hours[:, None], iq) == pytest.approx(-29 / 165)


def test_pearson_of_a_line_is_one():
    x = np.array([1, 2, 3, 5, 8], np.float32)
    assert score("pearson", 0.1 + 0.01 * x[:, None], x) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_other_implementations(seed):
    rng = np.random.default_rng(seed)
    predictions, labels = rng.integers(4, size=(2, 50))
    assert score("matthews", logits(predictions, 4), labels) == pytest.approx(matthews_corrcoef(labels, predictions))
    two, truth = predictions % 2, labels % 2
    assert score("f1", logits(two), truth) == pytest.approx(f1_score(truth, two))
    outputs, scores = rng.integers(9, size=(2, 50)).astype(np.float32)  # with ties
    assert score("spearman", outputs[:, None], scores) == pytest.approx(spearmanr(outputs, scores).statistic)


@pytest.mark.parametrize("name", ["matthews", "pearson", "spearman"])
def test_constant_predictions_score_zero(name):
    labels = np.array([0, 1, 1, 0, 1])
    outputs = logits([1] * 5) if METRICS[name].kind.name == "classification" else np.full((5, 1), 0.1, np.float32)
    assert score(name, outputs, labels) == 0.0


@pytest.mark.parametrize("name", NUMBERS)
def test_perfect_outputs_score_one(name):
    labels = np.array([0, 1, 1, 0, 1])
    outputs = logits(labels) if METRICS[name].kind.name == "classification" else labels[:, None].astype(np.float32)
    assert score(name, outputs, labels) == pytest.approx(1.0)


def test_outputs_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"accuracy needs outputs \(R, C\) with R = 2 of at least 1, got \(3, 2\)"):
        score("accuracy", np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="one number per text"):
        score("spearman", np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="NaN; has the training diverged"):
        score("accuracy", np.full((2, 2), np.nan), np.zeros(2))
