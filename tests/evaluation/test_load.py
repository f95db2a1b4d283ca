"""Latency under load: what must hold of any queue, whatever the machine's speed."""

from __future__ import annotations

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.evaluation.latency import LatencyTarget
from secateur.evaluation.load import under_load
from secateur.evaluation.work import Load, UnderLoad
from secateur.tests.tiny import tiny_model


def target(**fields) -> LatencyTarget:
    return LatencyTarget(**{"machine": "here", "threads": 1, "batch_size": 1, "sequence_length": 8} | fields)


@pytest.mark.parametrize(
    ("load", "alone"),
    [
        (Load(), 20),
        (Load(4), 5),
        (Load(4, instances=2), 10),
        (Load(2, instances=4), 20),  # no request waits
        (Load(rate=100), 10),
        (Load(rate=100, instances=4), 20),
    ],
)
def test_what_a_request_may_take_alone(load, alone):
    assert load.service(20) == pytest.approx(alone)


@pytest.mark.parametrize("fields", [{"concurrency": 0}, {"instances": 0}, {"rate": 0.0}, {"rate": float("nan")}])
def test_loads_that_mean_nothing_are_refused(fields):
    with pytest.raises(InputError, match="a load has a `concurrency`"):
        Load(**fields)


def test_few_requests_promise_little():
    some = UnderLoad(Load(), np.ones(300), 1.0)
    assert some.most_late(2) == pytest.approx(1 - 0.05 ** (1 / 300))  # of none late: (1 - p)^n = 5 %
    assert some.keeps(2)
    assert not UnderLoad(Load(), np.ones(200), 1.0).keeps(2)
    assert not UnderLoad(Load(), np.array([3.0] * 10 + [1.0] * 990), 1.0).keeps(2)  # 1 %, but not surely
    assert some.most_late(0.5) == 1


@pytest.mark.parametrize("load", [Load(), Load(4), Load(3, instances=2), Load(2, instances=3)], ids=str)
def test_a_closed_loop_obeys_littles_law(load):
    """As many are under way as there are clients: requests a second times seconds of a request."""
    found = under_load(tiny_model("bert"), target(), load, requests=400)
    assert len(found.milliseconds) == 400
    assert (found.milliseconds > 0).all()
    under_way = found.per_second * found.milliseconds.mean() / 1e3
    assert under_way == pytest.approx(load.concurrency, rel=0.15)


def test_in_an_open_loop_requests_come_as_they_are_told_to():
    found = under_load(tiny_model("bert"), target(), Load(rate=20), requests=80)
    assert found.per_second == pytest.approx(20, rel=0.5)  # of random moments


def test_who_cannot_keep_up_has_a_queue():
    """Requests come ten times as often as they are answered: each waits longer than the one before."""
    alone = under_load(tiny_model("bert"), target(), Load(), requests=100)
    found = under_load(tiny_model("bert"), target(), Load(rate=10 * alone.per_second), requests=200)
    first, last = found.milliseconds[:50].mean(), found.milliseconds[-50:].mean()
    assert last > 2 * first


def test_asking_ends_when_a_limit_cannot_be_kept():
    found = under_load(tiny_model("bert"), target(), Load(2), limit=1e-6, requests=1000)
    assert len(found.milliseconds) == 11  # more than 1 % of 1000
    assert not found.keeps(1e-6)


@pytest.mark.parametrize("runtime", ["onnxruntime-int8", "openvino"])
def test_other_engines_and_several_lengths_and_batches(runtime):
    way = target(runtime=runtime, batch_size=2, sequence_length="task", lengths=(4, 8, 16))
    found = under_load(tiny_model("bert"), way, Load(2, instances=2), requests=60)
    assert len(found.milliseconds) == 60


def test_a_process_that_fails_says_why():
    too_long = target(sequence_length=10_000)  # of positions that the model does not have
    with pytest.raises(RuntimeError, match="a process that serves a model failed: "):
        under_load(tiny_model("bert"), too_long, Load(), requests=10)
