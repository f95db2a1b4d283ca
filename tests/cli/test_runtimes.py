"""What serves the models is part of the target: ONNX Runtime, in float32 and in int8, from the search to the answer."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch
from secateur.evaluation.archive import Archive
from secateur.evaluation.choice import Candidate
from secateur.evaluation.latency import LatencyTable
from secateur.evaluation.model_error import file_outputs
from secateur.run.choice.flips import FlipRates
from secateur.run.folder import RunFolder
from secateur.run.model import is_kept, weights_folder
from secateur.run.project import open_supernet, open_task
from secateur.supernet.extraction import extract
from secateur.supernet.shipping.engines import ENGINES
from secateur.supernet.stored.storage import load_model
from secateur.tasks.batches import collate

from .conftest import SEARCH, record

INT8 = "--search-latency-runtime=onnxruntime-int8"
UNSEARCHED = shutil.ignore_patterns("archive.db", "latency")


@pytest.fixture(scope="module")
def served_in_int8(finished, tmp_path_factory):
    """A run that was searched for models in int8; tests must leave it as it is."""
    from secateur.cli import run_command

    run = shutil.copytree(finished, tmp_path_factory.mktemp("int8") / "run", ignore=UNSEARCHED)
    assert run_command(["search", str(run), *SEARCH, INT8, "--search-objectives", "error,latency"]) == 0
    return run


def reported(run):
    with Archive(run / "archive.db") as archive:
        return {one.key: one for one in archive.evaluations(split="report")}


def error_in_int8(run, mask, of="report"):
    """Quantise a model of the run, and count what it gets wrong on a split, one text after another."""
    folder = RunFolder.open(run)
    task, (supernet, _) = open_task(folder), open_supernet(folder)
    exported = ENGINES["onnxruntime"].opened(extract(supernet.model, mask), int8=True)
    split = task.selection if of == "selection" else next(iter(task.report.values()))
    rows = [np.array([row]) for row in range(len(split))]
    answers = [int(exported.outputs(collate(split, row, task.pad_token_id)).argmax()) for row in rows]
    return float(np.mean(np.array(answers) != np.asarray(split.labels)))


def test_a_search_reports_the_error_after_quantisation(served_in_int8, call):
    run = served_in_int8
    target = record(run)["basis"]["target"]
    assert target.endswith("-float32-onnxruntime-int8")
    assert LatencyTable.load(run / "latency" / f"{target}.json").target.runtime == "onnxruntime-int8"
    found = reported(run)
    assert len(found) > 1
    for one in found.values():
        assert one.values["latency_ms"] > 0
        assert one.values["error_int8"] == pytest.approx(error_in_int8(run, one.mask), abs=2 / 64)  # scales of a batch
    points = json.loads(call("front", run, "--json", "--against", "latency_ms").out)
    assert {point["error_int8"] for point in points} <= {one.values["error_int8"] for one in found.values()}
    assert re.search(r"\bint8\b", call("front", run).out)  # a column of its own


def test_pick_says_it_too(served_in_int8, call):
    result = call("pick", served_in_int8, "--latency-ms", 1000, "--json")
    assert result.code == 0, result.err
    chosen = json.loads(result.out)["chosen"]
    assert chosen["error_int8"] == reported(served_in_int8)[chosen["key"]].values["error_int8"]
    assert chosen["memory_mb"] < 200  # a process without torch
    stored = json.loads(call("pick", served_in_int8, "--latency-ms", 1000, "--json", "--as-measured").out)
    assert stored["chosen"]["error_int8"] == reported(served_in_int8)[stored["chosen"]["key"]].values["error_int8"]
    assert re.search(r"\bint8\b", call("pick", served_in_int8, "--latency-ms", 1000).out)


def test_flips_are_those_of_what_is_served(served_in_int8, monkeypatch, call, fails):
    chosen = json.loads(call("pick", served_in_int8, "--flip-rate", 0.6, "--json").out)["chosen"]
    folder = RunFolder.open(served_in_int8)
    supernet, _ = open_supernet(folder)
    with Archive(served_in_int8 / "archive.db") as archive:
        one = Candidate(next(one for one in archive.evaluations(split="selection") if one.key == chosen["key"]), {})

    def rates():
        return [FlipRates(folder, supernet, name, 0.02).of(one).rate for name in ("torch", "onnxruntime-int8")]

    in_float, in_int8 = rates()
    assert in_int8 == pytest.approx(chosen["flip_rate"])
    # The search looked at floats, and so does the gate: files that answer the contrary are told by the flip rate alone.
    contrary = "secateur.evaluation.served_error.file_outputs"
    monkeypatch.setattr(contrary, lambda *args, **options: -file_outputs(*args, **options))
    assert rates() == pytest.approx([in_float, 1 - in_int8])
    assert "no evaluated model keeps flip_rate <= 0.3" in fails("pick", served_in_int8, "--flip-rate", 0.3)


@pytest.fixture(scope="module")
def judged_in_int8(finished, tmp_path_factory):
    """A run whose search looked at errors in int8; tests must leave it as it is."""
    from secateur.cli import run_command

    run = shutil.copytree(finished, tmp_path_factory.mktemp("judged") / "run", ignore=UNSEARCHED)
    content = record(run)
    del content["stages"]["search"], content["asked"]["search"]
    (run / "run.json").write_text(json.dumps({name: part for name, part in content.items() if name != "digest"}))
    asked = ["--runtime", "onnxruntime-int8", "--precision", "int8", "--objectives", "error,latency", "--budget", "5"]
    assert run_command(["search", str(run), *asked]) == 0
    return run


def test_a_search_may_look_at_errors_in_int8(judged_in_int8, call):
    run = judged_in_int8
    assert record(run)["basis"]["dtype"] == "int8"
    with Archive(run / "archive.db") as archive:
        rows = archive.evaluations(split="selection")
    assert len(rows) == 5
    assert all(one.asked for one in rows)  # other depths are other files
    assert any(one.mask.is_full for one in rows)
    for one in rows:
        assert one.values["error"] == pytest.approx(error_in_int8(run, one.mask, "selection"), abs=2 / 38)
    for one in reported(run).values():
        assert one.values["error"] == one.values["error_int8"]
        assert one.values["error"] == pytest.approx(error_in_int8(run, one.mask), abs=2 / 64)
    assert call("pick", run, "--latency-ms", 1000).code == 0


def test_what_else_joins_errors_in_int8_is_judged_so(judged_in_int8, tmp_path, call):
    run = shutil.copytree(judged_in_int8, tmp_path / "run")
    assert call("prune", run, "--method", "rank_magnitude", "--density", "0.5").code == 0
    assert call("ladder", run, "--shares", "1/2", "--steps", "2").code == 0
    assert record(run)["basis"]["dtype"] == "int8"
    folder = RunFolder.open(run)
    task = open_task(folder)
    with Archive(run / "archive.db") as archive:
        rows = [one for kind in ("pruned", "ladder") for one in archive.evaluations(split="selection", weights=kind)]
    apart = [one for one in rows if weights_folder(folder, one) is not None and is_kept(folder, one)]
    assert apart
    for one in apart:
        exported = ENGINES["onnxruntime"].opened(load_model(weights_folder(folder, one)), int8=True)
        outputs = file_outputs(exported, task.selection, pad_token_id=task.pad_token_id)
        assert one.values["error"] == pytest.approx(task.metric.error(outputs, task.selection))


def test_a_run_whose_errors_are_in_int8_refuses_what_runs_in_pytorch(judged_in_int8, fails):
    for more, told in (
        (["--racing"], "which files in int8 do not"),
        (["--workers", 2], "workers answer in PyTorch"),
        (["--searcher", "moasha"], "judges candidates while they are trained"),
    ):
        assert told in fails("search", judged_in_int8, "--budget", 9, *more)


def test_errors_in_int8_are_refused_where_nothing_runs_them(finished, tmp_path, fails):
    search, served = ["search", finished, "--precision", "int8"], ["--runtime", "onnxruntime-int8"]
    for command in (search, ["prune", finished, "--method", "ziplm", "--density", "0.5", "--precision", "int8"]):
        assert re.search(r"are for torch; give one of onnxruntime-int8, openvino-int8 as --\S*runtime", fails(*command))
    assert "which files in int8 do not; leave --search-racing out" in fails(*search, *served, "--racing")
    assert "workers answer in PyTorch" in fails(*search, *served, "--workers", 2)
    message = fails(*search, *served, "--searcher", "moasha")
    assert "judges candidates while they are trained" in message


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_pick_for_another_runtime_than_the_searchs(name, copied, call, fails):
    before = reported(copied)
    message = fails("pick", copied, "--latency-ms", 1000, "--runtime", name)
    assert f"{copied} has no latency table of {name} on this machine; run `secateur latency" in message
    assert "--as-measured" not in message
    command = message.split("`")[1].removeprefix("secateur ").split()
    assert call(*command, "--seconds", "0.3").code == 0  # what the message says to do
    result = call("pick", copied, "--latency-ms", 1000, "--runtime", name, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert found["target"]["runtime"] == name
    assert found["chosen"]["latency_ms"] > 0
    assert found["chosen"]["error_int8"] is None
    assert reported(copied) == before  # its latencies are PyTorch's
    assert "unknown runtime 'jax'; known:" in fails("pick", copied, "--latency-ms", 1, "--runtime", "jax")
    message = fails("pick", copied, "--latency-ms", 1, "--runtime", name, "--as-measured")
    assert f"the latencies in {copied / 'archive.db'} are of torch, not of {name}; leave out" in message


def test_pruned_models_are_timed_as_asked(finished, tmp_path, call, fails):
    run = shutil.copytree(finished, tmp_path / "run", ignore=UNSEARCHED)
    content = record(run)
    del content["stages"]["search"]
    (run / "run.json").write_text(json.dumps(content))
    prune = ["prune", run, "--method", "layer_drop_top", "--density", "0.7"]
    asked = ["--runtime", "onnxruntime-int8", "--latency-threads", "1", "--precision", "float32"]
    assert call(*prune, *asked).code == 0
    basis = record(run)["basis"]
    assert basis["target"] == "cpu-t1-b1-s24-float32-onnxruntime-int8"
    assert basis["dtype"] == "float32"
    assert all("error_int8" in one.values for one in reported(run).values())
    assert call(*prune, "--density", "0.6").code == 0  # goes on with the same
    assert record(run)["basis"] == basis
    message = fails(*prune, "--latency-threads", "2")
    assert f"are of {basis['target']}, these would be of cpu-t2-b1-s24-float32-onnxruntime-int8 (device" in message
    message = fails(*prune, "--precision", "bfloat16")
    assert "were computed in float32, these would be in bfloat16; leave the precision out" in message
    if not torch.cuda.is_available():
        message = fails(*prune, "--latency-device", "cuda")
        assert "--latency-device is cuda, but PyTorch finds no CUDA device here" in message
