"""Metrics against values that were published or are worked out by hand."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from secateur.tasks import METRICS, Split
from secateur.tasks.class_scores import best_thresholds
from secateur.tasks.metrics import companions, metric_of
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)

OF_TEXTS = ("classification", "regression", "multilabel")
NUMBERS = [name for name, metric in METRICS.items() if metric.kind.name in OF_TEXTS]


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
    f1 = metric_of("f1", "classification", positive)
    assert 0 < f1.of_compared(logits(found, 3), truth) == pytest.approx(expected)
    assert f1.title(("a", "b", "c")) == f"f1 of {'abc'[positive]}"


def test_f1_beside_another_metric_is_of_the_positive_class():
    truth, never = np.array([0, 0, 0, 1]), logits([0, 0, 0, 0])
    (f1,) = (one for one in companions(METRICS["accuracy"], 2, positive=1) if one.name == "f1")
    assert f1.of_compared(never, truth) == 0.0
    (f1,) = (one for one in companions(METRICS["accuracy"], 2, positive=0) if one.name == "f1")
    assert f1.of_compared(never, truth) == pytest.approx(6 / 7)
    assert [one.name for one in companions(METRICS["accuracy"], 3)] == ["matthews"]


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
    outputs, truth = {
        "classification": (100 * logits(labels), labels),
        "regression": (labels[:, None].astype(np.float32), labels),
        "multilabel": (2 * logits(labels) - 1, logits(labels).astype(np.int64)),
    }[METRICS[name].kind.name]
    assert score(name, outputs, truth) == pytest.approx(1.0)


def test_outputs_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"accuracy needs outputs \(R, C\) with R = 2 of at least 1, got \(3, 2\)"):
        score("accuracy", np.zeros((3, 2)), np.zeros(2))
    with pytest.raises(ValueError, match="one number per text"):
        score("spearman", np.zeros((3, 2)), np.zeros(3))
    with pytest.raises(ValueError, match="NaN; has the training diverged"):
        score("accuracy", np.full((2, 2), np.nan), np.zeros(2))


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    rng = np.random.default_rng(classes)
    truth = rng.choice(classes, 80, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    outputs = 2 * logits(truth, classes) + rng.normal(size=(80, classes))
    likely = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
    found = outputs.argmax(axis=1)

    def of(name, positive=None):
        return metric_of(name, "classification", positive).of_compared(outputs, truth)

    assert of("macro_f1") == pytest.approx(f1_score(truth, found, average="macro"))
    assert of("weighted_f1") == pytest.approx(f1_score(truth, found, average="weighted"))
    assert of("balanced_accuracy") == pytest.approx(balanced_accuracy_score(truth, found))
    assert 1 - of("log_loss") == pytest.approx(log_loss(truth, likely))
    of_one = likely[:, 1] if classes == 2 else likely
    assert of("auroc") == pytest.approx(roc_auc_score(truth, of_one, multi_class="ovr"))
    for positive in range(classes):
        expected = average_precision_score(truth == positive, likely[:, positive])
        assert of("average_precision", positive) == pytest.approx(expected)


def test_scores_of_labels_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth = (rng.random((60, 4)) < [0.5, 0.3, 0.1, 0.0]).astype(np.int64)  # the last never occurs
    outputs = 2 * truth + rng.normal(size=(60, 4)) - 1
    for name, average in (("micro_f1", "micro"), ("macro_f1", "macro"), ("weighted_f1", "weighted")):
        expected = f1_score(truth, outputs > 0, average=average, zero_division=0)
        assert metric_of(name, "multilabel").of_compared(outputs, truth) == pytest.approx(expected)
    known = [roc_auc_score(truth[:, i], outputs[:, i]) for i in range(3)]
    assert metric_of("auroc", "multilabel").of_compared(outputs, truth) == pytest.approx(np.mean(known))
    known = [average_precision_score(truth[:, i], outputs[:, i]) for i in range(3)]
    assert metric_of("average_precision", "multilabel").of_compared(outputs, truth) == pytest.approx(np.mean(known))
    assert metric_of("average_precision", "multilabel", 2).of_compared(outputs, truth) == pytest.approx(known[2])


def test_recall_at_a_precision_by_hand():
    # Sorted by score: right, right, wrong, right, wrong. 3 of 4 right finds all three, 2 of 2 finds two.
    outputs = np.array([[0.0, 5.0], [0.0, 4.0], [0.0, 3.0], [0.0, 2.0], [0.0, 1.0]])
    labels, metric = np.array([1, 1, 0, 1, 0]), metric_of("recall_at_precision", "classification", 1, 0.75)
    assert metric.of_compared(outputs, labels) == 1.0
    assert metric.title(("ok", "fraud")) == "recall_at_precision 0.75 of fraud"
    assert score("recall_at_precision", outputs, labels) == pytest.approx(2 / 3)
    assert score("recall_at_precision", outputs, np.array([0, 0, 1, 0, 0])) == 0.0


def test_calibration_error_by_hand():
    sure = np.log([[0.9, 0.1]] * 10)  # 90 % sure, and 7 of 10 times right
    assert score("calibration_error", sure, np.array([0] * 7 + [1] * 3)) == pytest.approx(1 - 0.2)
    assert METRICS["calibration_error"].title(("a", "b")) == "1 - calibration_error"


def test_scores_of_one_class_alone_are_defined():
    outputs, labels = np.random.default_rng(0).normal(size=(5, 2)), np.zeros(5, np.int64)
    assert score("auroc", outputs, labels) == 0.5
    assert score("average_precision", outputs, labels) == score("recall_at_precision", outputs, labels) == 0.0


def test_thresholds_are_where_f1_is_highest():
    rng = np.random.default_rng(1)
    truth = (rng.random((200, 2)) < [0.2, 0.0]).astype(np.int64)
    outputs = 1.5 * truth + rng.normal(size=(200, 2)) - 2
    chosen = best_thresholds(outputs, truth)
    likely = 1 / (1 + np.exp(-outputs[:, 0]))
    every = [f1_score(truth[:, 0], likely > at, zero_division=0) for at in np.linspace(0.01, 0.99, 981)]
    assert f1_score(truth[:, 0], likely > chosen[0]) == pytest.approx(max(every))
    assert chosen[1] == 0.5
    plain = metric_of("f1", "multilabel", 0)
    assert plain.of_compared(outputs, truth) < plain.at(chosen).of_compared(outputs, truth) == pytest.approx(max(every))
