"""The program of a process that serves a model: it tells its peak memory, or answers one request after the other.

    python -m secateur.evaluation.served_process '{"engine": "onnxruntime", "path": ..., "sizes": [[1, 128]], ...}'

Only what serving needs is imported.
"""

from __future__ import annotations

import importlib
import json
import operator
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_PASSES = 3  # of each size before anything is told

Size = tuple[int, int]
"""Texts of a batch, and tokens of each."""
Prepare = Callable[[Size], Callable[[], object]]
"""From a size to what runs the model on a batch of it."""


def _torch(folder: str, loader: str, device: str, precision: str, threads: int) -> Prepare:
    import torch

    torch.set_num_threads(threads)
    module, _, name = loader.partition(":")
    load = operator.attrgetter(name)(importlib.import_module(module))
    model = load(folder, dtype=getattr(torch, precision))
    model.eval().to(device)

    def prepare(size: Size) -> Callable[[], object]:
        ids = torch.randint(0, model.config.vocab_size, size, device=device)
        request = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

        @torch.inference_mode()
        def run() -> None:
            model(**request)
            if device.startswith("cuda"):
                torch.cuda.synchronize()

        return run

    return prepare


def _onnxruntime(path: str, threads: int) -> Prepare:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def prepare(size: Size) -> Callable[[], object]:
        inputs = _inputs([one.name for one in session.get_inputs()], size)
        return lambda: session.run(None, inputs)

    return prepare


def _openvino(path: str, threads: int) -> Prepare:
    import openvino

    core = openvino.Core()
    model = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads})
    request = model.create_infer_request()

    def prepare(size: Size) -> Callable[[], object]:
        inputs = _inputs([one.get_any_name() for one in model.inputs], size)
        return lambda: request.infer(inputs)

    return prepare


def _inputs(names: list[str], size: Size) -> dict[str, Any]:
    import numpy as np

    return {name: (np.zeros if name == "token_type_ids" else np.ones)(size, np.int64) for name in names}


_OPENS: dict[str, Callable[..., Prepare]] = {"torch": _torch, "onnxruntime": _onnxruntime, "openvino": _openvino}


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


def main(engine: str, sizes: list[Size], *, answer: bool, **opened: Any) -> None:
    """Serve.

    Args:
        engine: what runs the model.
        sizes: of the batches that are to be run.
        answer: to requests, whose lines on standard input are the positions of their sizes; the same lines are written
            when they are done, and an empty one when the first may come. Else the peak is written, in MB of 1e6 bytes.
        **opened: what opens the model.
    """
    prepare = _OPENS[engine](**opened)
    runs = [prepare((batch, length)) for batch, length in sizes]
    for run in runs:
        for _ in range(_PASSES):
            run()
    if not answer:
        print(peak_megabytes())
        return
    print(flush=True)
    for line in sys.stdin:
        runs[int(line)]()
        print(line, end="", flush=True)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
