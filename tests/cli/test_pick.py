"""`secateur pick`: the answer, measured."""

from __future__ import annotations

import json
import sqlite3

import pytest
from secateur.digests import read_json, write_json
from secateur.evaluation.archive import Archive
from secateur.evaluation.work import Load
from secateur.run.choice.pick import chosen_model
from secateur.run.folder import RunFolder
from secateur.run.settings.choice import Budgets

ROLES = ("chosen", "cheaper", "dearer")


@pytest.fixture(scope="module")
def evaluated(finished):
    """Error and encoder of every model that the run has evaluated, by key."""
    with Archive(finished / "archive.db") as archive:
        return {e.key: e.values for e in archive.evaluations(split="selection")}


def answer(call, run, *options):
    result = call("pick", run, *options, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


HARDLY_SCORED = """
DELETE FROM evaluations WHERE split = 'report' AND key != (SELECT max(key) FROM masks);
DELETE FROM objective_values WHERE evaluation NOT IN (SELECT id FROM evaluations);
"""


def test_pick_measures_before_it_answers(copied, call, evaluated):
    """In an archive with hardly a model scored on the report split."""
    with sqlite3.connect(copied / "archive.db") as db:
        db.executescript(HARDLY_SCORED)
    db.close()
    # Any model keeps the latency, on any machine.
    budgets = {"latency_ms": 1000.0, "disk_mb": sorted(v["disk_mb"] for v in evaluated.values())[len(evaluated) // 2]}
    found = answer(call, copied, "--latency-ms", 1000, "--disk-mb", budgets["disk_mb"])
    chosen = found["chosen"]
    within = [v["error"] for v in evaluated.values() if v["disk_mb"] <= budgets["disk_mb"]]
    assert chosen["error_selection"] == pytest.approx(min(within), rel=1e-5)
    assert evaluated[chosen["key"]]["disk_mb"] <= budgets["disk_mb"]
    assert found["budgets"] == budgets
    assert found["spread"] >= 0
    assert chosen["memory_mb"] > 100  # a whole Python process with torch
    with Archive(copied / "archive.db") as archive:
        kept = {e.key: e for e in archive.evaluations(split="report")}
    for role in ROLES:
        if (one := found[role]) is not None:
            assert 0 < one["latency_low_ms"] <= one["latency_ms"] <= one["latency_high_ms"]
            assert one["latency_p50_ms"] <= one["latency_p95_ms"]
            assert one["error_low"] <= one["error_report"] <= one["error_high"]
            assert one["tied"] == (one["difference_low"] <= 0 <= one["difference_high"])
            assert one["error_selection"] == pytest.approx(evaluated[one["key"]]["error"], rel=1e-5)
            assert kept[one["key"]].method == "front"
            assert kept[one["key"]].values["error"] == pytest.approx(one["error_report"], rel=1e-5)
            assert kept[one["key"]].values["memory_mb"] == pytest.approx(one["memory_predicted_mb"], rel=1e-5)
    names = {name for e in kept.values() for name in e.values}
    assert {"latency_ms", "latency_low_ms", "latency_high_ms", "latency_p95_ms"} <= names


def test_a_latency_that_nothing_keeps(finished, fails, evaluated):
    message = fails("pick", finished, "--latency-ms", 1e-6)
    assert message.startswith("no evaluated model keeps latency_ms <= 1e-06; the nearest is ")
    key, has = message.removeprefix("no evaluated model keeps latency_ms <= 1e-06; the nearest is ").split(" with ")
    assert key in evaluated
    assert float(has.removeprefix("latency_ms ")) > 1e-6
    message = fails("pick", finished, "--disk-mb", 1e-6, "--error", 0.9)
    least = min(evaluated.values(), key=lambda v: v["disk_mb"])["disk_mb"]
    assert "no evaluated model keeps disk_mb <= 1e-06 and error <= 0.9; the nearest is" in message
    assert f"disk_mb {least:.6g} and error" in message


def test_numbers_of_another_machine(copied, call, fails):
    (path,) = (copied / "latency").glob("*.json")
    content = read_json(path, "")
    content["target"]["machine"] = "Another CPU x64"
    write_json(path, content)
    message = fails("pick", copied, "--latency-ms", 1000)
    assert f"the latencies in {copied} were measured on Another CPU x64, this is " in message
    command = message.split("`")[1].removeprefix("secateur ").split()
    assert "add --as-measured to choose by those" in message
    stored = answer(call, copied, "--latency-ms", 1000, "--as-measured")
    assert stored["target"]["machine"] == "Another CPU x64"
    assert stored["spread"] is stored["chosen"]["memory_mb"] is None
    assert call(*command, "--seconds", "0.3").code == 0  # what the message says to do
    result = call("pick", copied, "--latency-ms", 1e-6)
    assert "no evaluated model keeps" in result.err  # measured here


def test_stored_numbers_are_answered_from_alone(finished, call, evaluated):
    limit = sorted(v["memory_mb"] for v in evaluated.values())[len(evaluated) // 2]
    options = ["--memory-mb", limit, "--macs", 1e9, "--as-measured"]
    first = answer(call, finished, *options)
    assert evaluated[first["chosen"]["key"]]["memory_mb"] <= limit
    assert answer(call, finished, *options) == first
    with Archive(finished / "archive.db") as archive:
        cheap = chosen_model(RunFolder.open(finished), archive, Budgets(macs=1e9))
        assert cheap.values["error"] <= evaluated[first["chosen"]["key"]]["error"]
        report = archive.lookup(first["chosen"]["key"], "report")
    assert report is not None
    assert first["chosen"]["latency_ms"] == pytest.approx(report.values["latency_ms"], rel=1e-5)


def test_bad_input(finished, fails):
    assert "--memory-mb: Input should be greater than 0, got -1" in fails("pick", finished, "--memory-mb", -1)
    assert "--disk-mb" in fails("pick", finished, "--disk-mb", "much")


def test_a_latency_under_load(copied, call, evaluated):
    found = answer(call, copied, "--p99-ms", 10000, "--concurrency", 2, "--instances", 2)
    best = min(values["error"] for values in evaluated.values())
    assert found["chosen"]["error_selection"] == pytest.approx(best, rel=1e-5)
    assert found["budgets"] == {"latency_ms": 10000}  # alone: as many processes as clients
    load = found["under_load"]
    assert (load["concurrency"], load["rate"], load["instances"], load["limit_ms"]) == (2, None, 2, 10000)
    assert load["p50_ms"] <= load["p95_ms"] <= load["p99_ms"] <= 10000
    assert load["requests"] == 1000
    assert load["most_late"] == pytest.approx(1 - 0.05 ** (1 / 1000), rel=1e-4)
    said = " ".join(call("pick", copied, "--p99-ms", 10000, "--rate", 30).out.split())
    assert "is the best within p99_ms <= 10000 with 30 a second, 1 instance and latency_ms <= 33.3333" in said
    assert "with 30 a second, 1 instance: p50 " in said
    assert "take longer than 10000 ms (95 %)" in said


def test_a_latency_under_load_that_nothing_keeps(finished, fails, monkeypatch):
    assert "no evaluated model keeps latency_ms <= 2.5e-07" in fails(
        "pick", finished, "--p99-ms", 1e-6, "--concurrency", 4
    )
    monkeypatch.setattr(Load, "service", lambda load, limit: 1000.0)  # so that models are asked
    message = fails("pick", finished, "--p99-ms", 1e-6, "--concurrency", 2)
    assert "are fast enough alone, but none keeps p99_ms <= 1e-06 with 2 at once, 1 instance" in message
    assert "up to 100.0% of requests may take longer; give a higher --p99-ms" in message


def test_a_load_without_a_limit_is_refused(finished, fails):
    assert "--concurrency is what a --p99-ms is to be kept with" in fails(
        "pick", finished, "--latency-ms", 8, "--concurrency", 4
    )
    assert "no archive has latencies under load" in fails("pick", finished, "--p99-ms", 8, "--as-measured")
    assert "--instances" in fails("pick", finished, "--p99-ms", 8, "--instances", 0)
