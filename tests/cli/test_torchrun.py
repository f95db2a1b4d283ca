"""The command line under torchrun: two processes train one supernet, and the first one speaks and writes for both."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import safetensors.torch
import torch

from .conftest import record

# Without dropout, which each process draws for itself.
OPTIONS = ["--supernet-epochs", "2", "--supernet-learning-rate", "2e-3", "--supernet-dropout", "none"]
OPTIONS += ["--supernet-precision", "float32", "--supernet-save-seconds", "0"]


def untrained(finished: Path, to: Path) -> Path:
    """Return a run whose supernet is not trained yet."""
    run = shutil.copytree(finished, to, ignore=shutil.ignore_patterns("supernet", "archive.db", "subnets"))
    content = record(run)
    content["stages"] = {"finetune": content["stages"]["finetune"]}
    (run / "run.json").write_text(json.dumps(content))
    return run


def test_two_processes_train_the_supernet_of_one(finished, call, tmp_path):
    two, one = untrained(finished, tmp_path / "two"), untrained(finished, tmp_path / "one")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, "-m", "secateur", "supernet", str(two), *OPTIONS],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    alone = call("supernet", one, *OPTIONS)
    assert alone.code == 0, alone.err
    said = [line.split(":")[0] for line in done.stderr.splitlines() if line.startswith("supernet")]
    assert said == ["supernet", "supernet", "supernet"]  # order of layers, steps and end, each once
    assert "Warning" not in done.stderr

    weights = [safetensors.torch.load_file(run / "supernet" / "model.safetensors") for run in (one, two)]
    before = safetensors.torch.load_file(finished / "finetuned" / "model.safetensors")
    assert weights[0].keys() == weights[1].keys()
    # Keys' biases have no effect: their gradients are rounding errors, which AdamW turns into steps of full size.
    named = [name for name in weights[0] if "key.bias" not in name]
    for name in named:
        torch.testing.assert_close(weights[1][name], weights[0][name], atol=1e-4, rtol=0)
    assert any((weights[0][name] - before[name]).abs().max() > 1e-2 for name in named)
    assert record(two)["stages"]["supernet"]["complete"]
    assert {path.name for path in two.iterdir()} == {path.name for path in one.iterdir()}
