"""End-to-end latency of an ordinary model, as a user would run it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from .target import LatencyTarget


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one forward pass of a batch.

    Attributes:
        median: the middle of the repeats.
        low, high: the quartiles.
        repeats: how many passes were timed, after warm-up.
    """

    median: float
    low: float
    high: float
    repeats: int


def measure(
    model: PreTrainedModel, target: LatencyTarget, *, repeats: int = 30, warmup: int = 5, seconds: float | None = None
) -> Latency:
    """Time a model's forward pass on random tokens, without padding.

    Args:
        model: any sequence classifier; it is moved to the target's device and cast to its precision.
        target: device, threads, batch size, length and precision.
        repeats: passes timed.
        warmup: passes before them.
        seconds: stop after so long, once five passes are timed.
    """
    with _ready(model, target) as run:
        for _ in range(warmup):
            run()
        begin, times = time.perf_counter(), []
        while len(times) < repeats:
            times.append(_timed(run, target))
            if seconds is not None and len(times) >= 5 and time.perf_counter() - begin > seconds:
                break
    return _summary(times)


def measure_pair(
    model: PreTrainedModel, reference: PreTrainedModel, target: LatencyTarget, *, repeats: int = 15, warmup: int = 3
) -> tuple[Latency, Latency]:
    """Time two models in turn, A B A B ..., so that their ratio holds while the machine's speed drifts."""
    with _ready(model, target) as run, _ready(reference, target) as run_reference:
        for _ in range(warmup):
            run()
            run_reference()
        pairs = [(_timed(run, target), _timed(run_reference, target)) for _ in range(repeats)]
    return _summary([a for a, _ in pairs]), _summary([b for _, b in pairs])


def _summary(times: list[float]) -> Latency:
    low, median, high = (float(q) for q in np.percentile(np.array(times) * 1e3, [25, 50, 75]))
    return Latency(median, low, high, len(times))


def _timed(run: Callable[[], None], target: LatencyTarget) -> float:
    if target.device.startswith("cuda"):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / 1e3
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@contextmanager
def _ready(model: PreTrainedModel, target: LatencyTarget) -> Iterator[Callable[[], None]]:
    """Yield a function that runs the model once; threads are set for as long and then put back."""
    dtype = getattr(torch, target.precision)
    model.eval().to(device=target.device, dtype=dtype)  # pyright: ignore[reportArgumentType, reportCallIssue]
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(
        0, model.config.vocab_size, (target.batch_size, target.sequence_length), generator=generator
    ).to(target.device)
    inputs: dict[str, Tensor] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    threads = torch.get_num_threads()
    torch.set_num_threads(target.threads)

    @torch.inference_mode()
    def run() -> None:
        model(**inputs)

    try:
        yield run
    finally:
        torch.set_num_threads(threads)
