"""What runs a model while it is timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

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
    generator = torch.Generator().manual_seed(0)
    requests: list[dict[str, Tensor]] = []
    for length in target.request_lengths:
        ids = torch.randint(0, model.config.vocab_size, (target.batch_size, length), generator=generator)
        ids = ids.to(target.device)
        requests.append({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
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


# ONNX Runtime and quantised models have their place here.
RUNTIMES: dict[str, Callable[[PreTrainedModel, LatencyTarget], AbstractContextManager[Timer]]] = {"pytorch": pytorch}


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
