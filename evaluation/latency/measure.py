"""End-to-end latency of ordinary models, as a user would run them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from .runtime import RUNTIMES
from .runtimes import Timer
from .target import LatencyTarget

Samples = NDArray[np.float64]  # (passes, lengths) of seconds, or of multiples of the reference's

_SLOW = 0.1  # seconds of a pass beyond which what it finds in the caches does not matter
_BLOCK = 0.04  # seconds of passes in a row
_MOST_PASSES = 5


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one forward pass of a batch; where there are several lengths, of a pass of mean length.

    Attributes:
        median: the middle of the repeats, each the mean over the target's lengths.
        low, high: their quartiles.
        p50, p95: percentiles of single requests; with one length p50 is the median.
        repeats: how often each length was timed, after warm-up.
    """

    median: float
    low: float
    high: float
    p50: float
    p95: float
    repeats: int


def measure(
    model: PreTrainedModel, target: LatencyTarget, *, repeats: int = 30, warmup: int = 5, seconds: float | None = None
) -> Latency:
    """Time a model alone.

    Args:
        model: any of transformers; it is moved to the target's device and cast to its precision.
        target: device, threads, batch size, length, precision and runtime.
        repeats: passes timed.
        warmup: passes before them.
        seconds: stop after so long, once five passes are timed.
    """
    limit = float("inf") if seconds is None else seconds
    with RUNTIMES[target.runtime](model, target) as run:
        begin = time.perf_counter()
        for _ in range(warmup):
            run()
            if time.perf_counter() - begin > limit / 2:
                break
        begin, times = time.perf_counter(), []
        while len(times) < repeats and (len(times) < 5 or time.perf_counter() - begin <= limit):
            times.append(run())
    return summary(np.array(times))


def summary(seconds: Samples) -> Latency:
    """Summarise seconds `(passes, lengths)`."""
    milliseconds = seconds * 1e3
    low, median, high = np.percentile(milliseconds.mean(axis=1), [25, 50, 75])
    p50, p95 = np.percentile(milliseconds, [50, 95])
    return Latency(float(median), float(low), float(high), float(p50), float(p95), len(seconds))


class Bench:
    """Times models in turn with one reference, so that their ratios hold while the machine's speed drifts.

    Each runs some passes in a row before the next one's turn, and of these the first does not count: it finds the
    caches full of another model's weights, as a model that is served alone never does. So a model takes here what it
    takes in :func:`measure`.

    Args:
        reference: a model that takes about as long as those that are timed.
        target: device, threads, batch size, length, precision and runtime.

    Attributes:
        seconds: spent on timing so far; what a runtime makes of the models before is not counted.
    """

    def __init__(self, reference: PreTrainedModel, target: LatencyTarget) -> None:
        self.target = target
        self._reference = reference
        self.seconds = 0.0
        self._reference_seconds: list[float] = []
        self._ratios: list[Samples] = []

    def add(self, *models: PreTrainedModel, seconds: float, rounds: int = 4) -> list[int]:
        """Time models, each in turn with the others and the reference.

        Args:
            models: they are moved to the target's device and cast to its precision.
            seconds: begin no further round when it would not end in so long; the first is always done.
            rounds: most turns of each.

        Returns:
            The models' places, for :meth:`latency`.
        """
        with ExitStack() as stack:
            runtime = RUNTIMES[self.target.runtime]
            timers = [stack.enter_context(runtime(model, self.target)) for model in (*models, self._reference)]
            begin = time.perf_counter()
            *blocks, reference = [_Block(timer) for timer in timers]
            before = self._turn(reference)
            ratios: list[list[Samples]] = [[] for _ in models]
            start = time.perf_counter()
            for done in range(rounds):
                now = time.perf_counter()
                if done and now - begin + (now - start) / done > seconds:
                    break
                taken = [block() for block in blocks]
                after = self._turn(reference)
                for found, times in zip(ratios, taken, strict=True):
                    found.append(times / ((before + after) / 2))
                before = after
            self.seconds += time.perf_counter() - begin
        first = len(self._ratios)
        self._ratios += [np.concatenate(found) for found in ratios]
        return list(range(first, len(self._ratios)))

    def latency(self, place: int) -> Latency:
        """Return what a model takes while the reference takes what it took in the middle of all its turns."""
        return summary(self._ratios[place] * (self.reference / 1e3))

    @property
    def reference(self) -> float:
        """Milliseconds of the reference, the median of its turns."""
        return float(np.median(self._reference_seconds)) * 1e3

    @property
    def spread(self) -> float:
        """The reference's quartiles' distance over its median: how steady the machine's speed was."""
        low, middle, high = np.percentile(self._reference_seconds, [25, 50, 75])
        return float((high - low) / middle)

    def _turn(self, reference: _Block) -> float:
        self._reference_seconds.append(float(np.median(reference().mean(axis=1))))
        return self._reference_seconds[-1]


class _Block:
    """Some passes of one model in a row; warms it up when it is made."""

    def __init__(self, timer: Timer) -> None:
        self._timer = timer
        taken = timer().sum()
        if taken < _SLOW:
            taken = min(timer().sum() for _ in range(2))
        self._discarded = int(taken < _SLOW)
        self._passes = int(np.clip(_BLOCK / taken, 1, _MOST_PASSES))

    def __call__(self) -> Samples:
        for _ in range(self._discarded):
            self._timer()
        return np.array([self._timer() for _ in range(self._passes)])
