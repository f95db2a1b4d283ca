"""Models in processes of their own, as they are served, and the memory of such a process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from ..supernet.heads import head_of
from ..supernet.shipping.engines import ENGINES
from ..supernet.stored.storage import load_model, quiet
from ..tasks.batches import Batch
from .latency import LatencyTarget
from .latency.runtime import RUNTIMES

_PROGRAM = f"{__package__}.served_process"
_measured: dict[tuple[object, ...], float] = {}  # in this process, by what decides it


def peak_memory(model: PreTrainedModel, target: LatencyTarget) -> float:
    """Return the peak resident memory, in MB of 1e6 bytes, of a new process that loads the model and runs batches.

    A process of PyTorch imports torch and transformers, one of another engine neither. Models of one class with parts
    of equal sizes need the same: only the first of them is measured.

    Args:
        model: any of transformers, in the precision it is stored in.
        target: device, threads, batch size, longest length, precision and runtime.

    Raises:
        InputError: a runtime that is not installed, or a model it cannot run.
        RuntimeError: the process failed; with what it said.
    """
    key = (type(model), _sizes(model), target.model_dump_json())
    if key not in _measured:
        with tempfile.TemporaryDirectory() as folder:
            told = written(model, target, Path(folder))
            sizes = [(target.batch_size, max(target.request_lengths))]
            command = serving_command(told, sizes, threads=target.threads, answer=False)
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"the process whose memory was to be measured failed: {done.stderr.strip()[-500:]}")
        _measured[key] = float(done.stdout.split()[-1])
    return _measured[key]


def written(
    model: PreTrainedModel, target: LatencyTarget, folder: Path, texts: list[Batch] | None = None
) -> dict[str, Any]:
    """Write a model into a folder as a target's runtime serves it; return what opens it there.

    Args:
        model: any of transformers.
        target: device, precision and runtime.
        folder: where to.
        texts: that int8 is calibrated on.
    """
    runtime = RUNTIMES[target.runtime]
    if runtime.engine:
        path = ENGINES[runtime.engine].written(model, folder, int8=runtime.int8, texts=texts or ())
        return {"engine": runtime.engine, "path": str(path)}
    with quiet(progress=False):
        model.save_pretrained(folder)
    made = type(model)
    # A model for embedding lies there as sentence-transformers has it, and its class is in no module.
    own = f"{load_model.__module__}:{load_model.__name__}" if head_of(model) == "embedding" else None
    return {
        "engine": "torch",
        "folder": str(folder),
        "loader": own or f"{made.__module__}:{made.__name__}.from_pretrained",
        "device": target.device,
        "precision": target.precision,
    }


def serving_command(opened: dict[str, Any], sizes: list[tuple[int, int]], *, threads: int, answer: bool) -> list[str]:
    """Return the command of a process that serves what was written; see :mod:`.served_process`."""
    told = {**opened, "sizes": sizes, "threads": threads, "answer": answer}
    return [sys.executable, "-m", _PROGRAM, json.dumps(told)]


def _sizes(model: PreTrainedModel) -> tuple[object, ...]:
    return tuple((name, part.shape, part.dtype) for name, part in model.state_dict().items())
