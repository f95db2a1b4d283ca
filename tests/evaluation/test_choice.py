import numpy as np
import pytest
from scipy.stats import binomtest
from secateur.evaluation.answers import Answers, difference_interval, error_interval, tied
from secateur.evaluation.choice import candidates, cost_names, in_order, nearest, neighbours
from secateur.evaluation.evaluation import Evaluation
from secateur.evaluation.objectives import Objective
from secateur.search_space import EncoderShape, SubnetMask
from secateur.tasks.metrics import METRICS
from secateur.tasks.split import Split

SHAPE = EncoderShape(num_layers=2, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
OBJECTIVES = {
    "latency_ms": Objective("latency_ms", "ms", lambda mask: sum(mask.neurons_per_layer) / 10),
    "disk_mb": Objective("disk_mb", "MB", lambda mask: 2.0),
    "encoder_parameters": Objective("encoder_parameters", "parameters", lambda mask: 0.0),
}


def evaluation(neurons, error, **values):
    mask = SubnetMask.from_counts(SHAPE, [1, 1], [neurons, neurons])
    values = {"error": error, "encoder_parameters": float(neurons), "latency_ms": -1.0, **values}
    return Evaluation(mask.key, mask, None, "medium", "random", 0, "selection", values, 0.1, True)


def found(*evaluations, names=("latency_ms", "encoder_parameters", "disk_mb")):
    return candidates(evaluations, names, OBJECTIVES)


def sizes(chosen):
    return [one.evaluation.mask.neurons_per_layer[0] for one in chosen]


def test_candidates_are_models_whose_error_is_known():
    failed, raced = evaluation(3, np.nan), evaluation(4, 0.1, rows=12.0)
    again = evaluation(5, 0.3)
    one, two = found(evaluation(5, 0.2), failed, raced, again, evaluation(6, 0.1, disk_mb=7.0))
    assert one.values == {"error": 0.2, "latency_ms": 1.0, "encoder_parameters": 5.0, "disk_mb": 2.0}
    assert two.values["disk_mb"] == 7.0  # what the archive has is taken, but for the latency
    assert two.values["latency_ms"] == pytest.approx(1.2)


def test_the_best_within_combined_budgets_comes_first():
    all_of_them = found(
        evaluation(2, 0.4), evaluation(4, 0.3), evaluation(5, 0.35), evaluation(6, 0.2), evaluation(8, 0.1)
    )
    assert sizes(in_order(all_of_them, {"latency_ms": 1.3})) == [6, 4, 2]  # 5 is beaten by 4
    assert sizes(in_order(all_of_them, {"latency_ms": 1.3, "encoder_parameters": 5.0})) == [4, 2]
    assert sizes(in_order(all_of_them, {"latency_ms": 9.0, "disk_mb": 1.0})) == []
    assert sizes(in_order(all_of_them, {"error": 0.3})) == [4, 6, 8]  # the cheapest
    assert sizes(in_order(all_of_them, {"latency_ms": 1.3, "error": 0.3})) == [6, 4]
    assert cost_names({"error": 0.3}) == ("encoder_parameters",)
    assert cost_names({"latency_ms": 1.0, "error": 0.3, "macs": 1.0}) == ("latency_ms", "macs")
    near = nearest(all_of_them, {"latency_ms": 0.2, "error": 0.2})
    assert sizes([near]) == [2]  # 2 exceeds both twofold, the others one of them more


def test_neighbours_are_of_the_front():
    all_of_them = found(evaluation(2, 0.4), evaluation(4, 0.3), evaluation(5, 0.35), evaluation(6, 0.2))
    by_size = dict(zip(sizes(all_of_them), all_of_them, strict=True))
    for size, expected in ((2, (None, 4)), (4, (2, 6)), (5, (4, 6)), (6, (4, None))):
        cheaper, dearer = neighbours(all_of_them, by_size[size], "encoder_parameters")
        assert (cheaper and sizes([cheaper])[0], dearer and sizes([dearer])[0]) == expected


def answers(wrong, n, metric="accuracy", shift=0):
    labels = np.zeros(n, dtype=np.int64)
    predicted = np.roll((np.arange(n) < wrong).astype(np.int64), shift)
    return Answers(METRICS[metric], ((np.eye(2)[predicted], labels),))


@pytest.mark.parametrize(("wrong", "n"), [(40, 400), (60, 872), (138, 277)])
def test_the_interval_of_an_accuracy_is_that_of_a_share(wrong, n):
    low, high = error_interval(answers(wrong, n), seed=0)
    wilson = binomtest(wrong, n).proportion_ci(0.95, method="wilson")
    width = wilson.high - wilson.low
    assert low == pytest.approx(wilson.low, abs=0.15 * width)
    assert high == pytest.approx(wilson.high, abs=0.15 * width)
    assert (low, high) == error_interval(answers(wrong, n), seed=0)
    assert (low, high) != error_interval(answers(wrong, n), seed=1)


def test_ties_are_of_the_same_rows():
    one = answers(60, 400)
    assert error_interval(answers(70, 400), seed=0)[0] < one.error()  # the intervals overlap by far, but
    worse = difference_interval(answers(70, 400), one, seed=0)  # it errs on the same rows and ten more
    assert worse[0] > 0
    assert not tied(worse)
    elsewhere = difference_interval(answers(70, 400, shift=200), one, seed=0)
    assert elsewhere[0] < 0 < elsewhere[1]
    assert tied(elsewhere)
    assert difference_interval(one, one, seed=0) == (0, 0)
    assert tied((0.0, 0.0))


def test_any_metric_and_several_sets():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200).astype(np.float32)
    outputs = (truth + rng.normal(size=200))[:, None]
    split = Split([np.zeros(1, dtype=np.int32)] * 200, None, truth)
    spearman = Answers.of(METRICS["spearman"], [outputs], [split])
    low, high = error_interval(spearman, seed=0)
    assert low < spearman.error() < high
    assert high - low < 0.3
    both = Answers(METRICS["accuracy"], answers(10, 100).sets + answers(30, 200).sets)
    assert both.errors() == pytest.approx([0.1, 0.15])
    assert both.error() == pytest.approx(0.125)
    assert np.isnan(error_interval(answers(1, 1), seed=0)).all()
    assert tied(difference_interval(answers(1, 1), answers(0, 1), seed=0))
