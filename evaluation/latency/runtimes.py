"""What runs a model while it is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ...errors import InputError
from .runtime import RUNTIMES
from .target import LatencyTarget

Timer = Callable[[], NDArray[np.float64]]
"""Runs the model once at each of the target's lengths; returns seconds, `(lengths,)`."""


@contextmanager
def pytorch(model: PreTrainedModel, target: LatencyTarget) -> Iterator[Timer]:
    """Time transformers' own forward pass in PyTorch, on random tokens without padding.

    The model is moved to the target's device and cast to its precision. Threads are set for as long as the context is
    open and then put back.
    """
    dtype = getattr(torch, target.precision)
    model.eval().to(device=target.device, dtype=dtype)  # pyright: ignore[reportArgumentType, reportCallIssue]
    requests = [
        {name: tensor.to(target.device) for name, tensor in request.items()} for request in _requests(model, target)
    ]
    seconds = _cuda_seconds if target.device.startswith("cuda") else _seconds

    @torch.inference_mode()
    def run() -> NDArray[np.float64]:
        return np.array([seconds(lambda request=request: model(**request)) for request in requests])

    threads = torch.get_num_threads()
    torch.set_num_threads(target.threads)
    try:
        yield run
    finally:
        torch.set_num_threads(threads)


@contextmanager
def engine(model: PreTrainedModel, target: LatencyTarget) -> Iterator[Timer]:
    """Time the engine of the target's runtime, on random tokens without padding; in int8 where the runtime is.

    The model is left as it is.

    Raises:
        InputError: packages that are not installed, a model that cannot be exported, another device than the CPU, or
            another precision than float32: int8 is a runtime of its own.
    """
    from ...supernet.shipping.engines import ENGINES

    check_runs(target)
    runtime = RUNTIMES[target.runtime]
    assert runtime.engine is not None
    session = ENGINES[runtime.engine].opened(model, int8=runtime.int8, threads=target.threads)
    requests = [{name: tensor.numpy() for name, tensor in request.items()} for request in _requests(model, target)]
    for request in requests:  # no tokenizer was asked: all are of the first segment
        request |= {name: np.zeros_like(request["input_ids"]) for name in session.inputs if name not in request}

    def run() -> NDArray[np.float64]:
        return np.array([_seconds(lambda request=request: session.run(request)) for request in requests])

    yield run


def check_runs(target: LatencyTarget) -> None:
    """Check that a target's runtime runs on its device and in its precision.

    Raises:
        InputError: it does not, or is not installed.
    """
    from ...supernet.shipping.engines import ENGINES

    runtime = RUNTIMES[target.runtime]
    if runtime.engine is None:
        return
    ENGINES[runtime.engine].check_installed(int8=runtime.int8)
    if target.device != "cpu":
        raise InputError(f"{target.runtime} runs on the CPU here, not on {target.device}; give the device cpu")
    if target.precision != "float32":
        quantised = next((name for name, one in RUNTIMES.items() if one.engine == runtime.engine and one.int8), None)
        own = "in int8" if runtime.int8 else f"in float32, and with {quantised} in int8"
        raise InputError(f"{target.runtime} runs models {own}, not in {target.precision}; leave the precision out")


def _requests(model: PreTrainedModel, target: LatencyTarget) -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    sizes = [(target.batch_size, length) for length in target.request_lengths]
    ids = [torch.randint(0, model.config.vocab_size, size, generator=generator) for size in sizes]
    return [{"input_ids": one, "attention_mask": torch.ones_like(one)} for one in ids]


def _seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def _cuda_seconds(function: Callable[[], object]) -> float:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    function()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3
