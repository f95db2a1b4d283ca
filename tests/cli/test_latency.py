"""`secateur latency`: tables for targets of this machine."""

from __future__ import annotations

import shutil

import pytest
import torch
from secateur.digests import read_json, write_json
from secateur.evaluation.latency import LatencyTable

from .conftest import SEARCH, record

QUICK = ["--seconds", "0.3", "--threads", "1"]


def tables(run):
    return {path.name: LatencyTable.load(path) for path in (run / "latency").glob("*.json")}


def test_a_table_for_another_target(copied, call):
    (searched,) = tables(copied)
    options = ["--batch-size", "2", "--sequence-length", "9", "--precision", "bf16", "--device", "cpu"]
    result = call("latency", copied, *QUICK, *options)
    assert result.code == 0, result.err
    assert "median error" in result.out
    assert "worst" in result.out
    assert "Kendall's tau" in result.out
    assert "the whole network: p50" in result.out
    name = "cpu-t1-b2-s9-bfloat16.json"
    assert f"kept in {copied / 'latency' / name}; --again measures it again" in result.out
    assert set(tables(copied)) == {searched, name}
    target = tables(copied)[name].target
    assert (target.threads, target.batch_size, target.sequence_length) == (1, 2, 9)
    assert (target.precision, target.device, target.runtime) == ("bfloat16", "cpu", "torch")
    before = (copied / "latency" / name).read_bytes()
    assert "latency table:" not in call("latency", copied, *QUICK, *options).err
    assert (copied / "latency" / name).read_bytes() == before
    assert call("latency", copied, *QUICK, *options, "--again").code == 0
    assert (copied / "latency" / name).read_bytes() != before


def test_lengths_of_the_task_and_a_search_that_uses_them(copied, call):
    options = ["--sequence-length", "task", "--batch-size", "2"]
    assert call("latency", copied, *QUICK, *options).code == 0
    table = tables(copied)["cpu-t1-b2-stask-float32.json"]
    assert len(table.target.lengths) == 12
    assert 2 < table.target.lengths[0] < table.target.lengths[-1] <= 12  # texts of 3 to 9 words
    (copied / "archive.db").unlink()
    prefixed = [word.replace("--", "--search-latency-", 1) for word in ("--threads", "1", *options)]
    objectives = ["--search-objectives", "error,latency,memory"]
    assert call("search", copied, *SEARCH, "--search-budget", "2", *prefixed, *objectives).code == 0
    assert record(copied)["basis"]["target"] == "cpu-t1-b2-stask-float32"
    assert tables(copied)["cpu-t1-b2-stask-float32.json"] == table  # found, not measured again


def test_a_table_of_another_machine_is_kept(copied, call):
    (path,) = (copied / "latency").glob("*.json")
    content = read_json(path, "")
    content["target"]["machine"] = "Another CPU x64"
    write_json(path, content)
    before = path.read_bytes()
    target = LatencyTable.load(path).target
    options = ["--threads", target.threads, "--sequence-length", target.sequence_length, "--seconds", "0.3"]
    assert call("latency", copied, *options).code == 0
    assert path.read_bytes() == before
    (new,) = [name for name in tables(copied) if name != path.name]
    assert new.startswith(f"{path.stem}@")
    assert tables(copied)[new].target.machine != "Another CPU x64"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--sequence-length", "99"], "--sequence-length is 99, but the model has 24 positions; give at most that"),
        (
            ["--sequence-length", "long"],
            "--sequence-length: Value error, expected a number of tokens above 0, or 'task'",
        ),
        (["--sequence-length", "0"], "expected a number of tokens above 0, or 'task', got '0'"),
        (["--precision", "fp8"], "'fp8' is not one of 'float32', 'bfloat16', 'float16', 'fp32', 'bf16', 'fp16'"),
        (
            ["--runtime", "onnx"],
            "unknown runtime 'onnx'; known: onnxruntime, onnxruntime-int8, openvino, openvino-int8, torch",
        ),
        (
            ["--runtime", "onnxruntime", "--precision", "bf16"],
            "onnxruntime runs models in float32, and with onnxruntime-int8 in int8, not in bfloat16; leave",
        ),
        (["--runtime", "onnxruntime-int8", "--precision", "bf16"], "runs models in int8, not in bfloat16"),
        (["--device", "cuda"], "--device is cuda, but PyTorch finds no CUDA device here; give cpu"),
        (["--batch-size", "0"], "--batch-size: Input should be greater than or equal to 1, got 0"),
        (["--seconds", "0"], "--seconds: Input should be greater than 0, got 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(finished, fails, options, expected):
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert expected in fails("latency", finished, *options)


def test_a_run_without_a_supernet_has_sizes_enough(inputs, call, tmp_path):
    assert call("finetune", *inputs.project(tmp_path / "run"), "--finetune-epochs", "0.1").code == 0
    assert call("latency", tmp_path / "run", "--seconds", "1").code == 0
    assert len([*(tmp_path / "run" / "latency").glob("*.json")]) == 1


def test_the_environment_says_how_long_a_missing_table_may_take(copied, fails, monkeypatch):
    shutil.rmtree(copied / "latency")
    (copied / "archive.db").unlink()
    monkeypatch.setenv("SECATEUR_LATENCY_SECONDS", "soon")
    assert "SECATEUR_LATENCY_SECONDS says how long a latency table may take, got 'soon'" in fails("search", copied)
