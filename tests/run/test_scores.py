"""What a model's latency is when something else ran beside it."""

import pytest
from secateur.evaluation.latency import Latency
from secateur.run import scores
from secateur.run.scores import doubtful, timed
from secateur.tests.tiny import tiny_model


@pytest.mark.parametrize(
    ("taken", "expected", "found", "looks"),
    [
        ([9.0], 8.0, 9.0, 1),
        ([562.0, 9.0], 8.0, 9.0, 2),
        ([40.0, 30.0, 35.0], 8.0, 30.0, 3),
        ([562.0], None, 562.0, 1),
    ],
)
def test_a_time_far_above_the_tables_is_taken_anew(monkeypatch, taken, expected, found, looks):
    left = list(taken)

    def measure(*_, **__):
        median = left.pop(0)
        return Latency(median, median - 1, median + 1, median, median, 5)

    monkeypatch.setattr(scores, "measure", measure)
    target = None  # nothing is timed
    assert timed(tiny_model("bert"), target, expected)["latency_ms"] == found
    assert len(taken) - len(left) == looks


def test_a_time_that_stays_far_above_is_said():
    assert "took 860 ms, where the latency table expects 40" in str(doubtful("abc", 860.0, 40.0))
    assert doubtful("abc", 41.0, 40.0) is None
    assert doubtful("abc", 860.0, None) is None
