"""The memory of a fresh process that serves a model: this module is also the program of that process."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the process that is measured imports only what serving needs
    from transformers import PreTrainedModel

    from .latency import LatencyTarget

_PASSES = 3
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
        _measured[key] = _new_peak(model, target)
    return _measured[key]


def _sizes(model: PreTrainedModel) -> tuple[object, ...]:
    return tuple((name, part.shape, part.dtype) for name, part in model.state_dict().items())


def _new_peak(model: PreTrainedModel, target: LatencyTarget) -> float:
    from .latency.runtime import RUNTIMES

    with tempfile.TemporaryDirectory() as folder:
        write = _write_file if RUNTIMES[target.runtime].engine else _write_torch
        size = (target.batch_size, max(target.request_lengths))
        wanted = {**write(model, Path(folder), target), "threads": target.threads, "size": size}
        command = [sys.executable, "-m", __name__, json.dumps(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the process whose memory was to be measured failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout.split()[-1])


def _write_torch(model: PreTrainedModel, folder: Path, target: LatencyTarget) -> dict[str, str]:
    from ..supernet.stored.storage import quiet

    with quiet(progress=False):
        model.save_pretrained(folder)
    made = type(model)
    return {
        "engine": "torch",
        "folder": str(folder),
        "module": made.__module__,
        "name": made.__name__,
        "device": target.device,
        "precision": target.precision,
    }


def _write_file(model: PreTrainedModel, folder: Path, target: LatencyTarget) -> dict[str, str]:
    from ..supernet.shipping.engines import ENGINES
    from .latency.runtime import RUNTIMES

    runtime = RUNTIMES[target.runtime]
    assert runtime.engine is not None
    path = ENGINES[runtime.engine].written(model, folder, int8=runtime.int8)
    return {"path": str(path), "engine": runtime.engine}


def peak_megabytes() -> float:
    """Return this process's own peak."""
    # On Linux ru_maxrss begins with the peak of the process that started this one; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _serve_torch(
    folder: str, module: str, name: str, device: str, precision: str, threads: int, size: tuple[int, int]
) -> None:
    import torch

    torch.set_num_threads(threads)
    made = getattr(importlib.import_module(module), name)
    model = made.from_pretrained(folder, dtype=getattr(torch, precision))
    model.eval().to(device)
    ids = torch.randint(0, model.config.vocab_size, tuple(size), device=device)
    with torch.inference_mode():
        for _ in range(_PASSES):
            model(input_ids=ids, attention_mask=torch.ones_like(ids))


def _serve_onnxruntime(path: str, threads: int, size: tuple[int, int]) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = _inputs([one.name for one in session.get_inputs()], size)
    for _ in range(_PASSES):
        session.run(None, inputs)


def _serve_openvino(path: str, threads: int, size: tuple[int, int]) -> None:
    import openvino

    core = openvino.Core()
    model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads})
    inputs = _inputs([one.get_any_name() for one in model.inputs], size)
    request = model.create_infer_request()
    for _ in range(_PASSES):
        request.infer(inputs)


def _inputs(names: list[str], size: tuple[int, int]) -> dict[str, Any]:
    import numpy as np

    return {name: (np.zeros if name == "token_type_ids" else np.ones)(size, np.int64) for name in names}


_SERVES: dict[str, Callable[..., None]] = {
    "torch": _serve_torch,
    "onnxruntime": _serve_onnxruntime,
    "openvino": _serve_openvino,
}

if __name__ == "__main__":
    _arguments = json.loads(sys.argv[1])
    _SERVES[_arguments.pop("engine")](**_arguments)
    print(peak_megabytes())
