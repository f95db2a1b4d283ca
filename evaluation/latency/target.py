"""What a latency belongs to."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from .runtime import RUNTIMES, TORCH

TASK = "task"  # instead of a sequence length: the lengths of the task's own texts
BUSY = 0.1  # spread of the reference from which on a machine counts as busy with something else
LENGTHS = 12  # that stand for a task's


class LatencyTarget(BaseModel):
    """Everything that must be said beside a latency for it to mean something.

    Attributes:
        sequence_length: tokens of each text, or "task": then `lengths` has what batches are padded to, each as likely
            as the others, and a latency is the mean over them.
        precision: what PyTorch computes in; ONNX Runtime has float32 models, or int8 ones as a runtime of its own.
        runtime: what runs the model, a name of `RUNTIMES`.
        lengths: of a task, see :func:`padded_lengths`; empty as long as its data were not looked at.

    Raises:
        ValueError: lengths without "task".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    device: str = "cpu"
    threads: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    sequence_length: Annotated[int, Field(ge=1)] | Literal["task"]
    precision: str = "float32"
    runtime: str = TORCH
    lengths: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _lengths_belong_to_a_task(self) -> LatencyTarget:
        if self.lengths and self.sequence_length != TASK:
            raise ValueError(f"lengths belong to sequence_length {TASK!r}, got {self.sequence_length}")
        return self

    @property
    def request_lengths(self) -> tuple[int, ...]:
        """Tokens that batches are padded to: one number, or equally likely ones.

        Raises:
            ValueError: a task's, and its data were not looked at.
        """
        if isinstance(self.sequence_length, int):
            return (self.sequence_length,)
        if not self.lengths:
            raise ValueError("the target's lengths are the task's, which are not known yet; give `lengths`")
        return self.lengths

    @property
    def name(self) -> str:
        """A file name for this target on its machine."""
        runtime = "" if self.runtime == TORCH else f"-{self.runtime}"
        sizes = f"t{self.threads}-b{self.batch_size}-s{self.sequence_length}"
        return f"{self.device}-{sizes}-{self.precision}{runtime}"

    def __str__(self) -> str:
        tokens = self.sequence_length if not self.lengths else f"{self.lengths[0]} to {self.lengths[-1]} (the task's)"
        served = RUNTIMES[self.runtime].served(self.precision) if self.runtime in RUNTIMES else self.runtime
        sizes = f"{self.threads} threads, batch {self.batch_size}, {tokens} tokens"
        return f"{self.machine}, {self.device}, {sizes}, {served}"


def padded_lengths(lengths: NDArray[np.int64], batch_size: int, count: int = LENGTHS) -> tuple[int, ...]:
    """Return what batches of random texts are padded to: `count` equally likely lengths, rising.

    A batch is padded to its longest text, which is at most l tokens long with probability F(l) ** batch_size, where F
    is the share of texts of at most l tokens. Its quantiles in the middle of `count` equal steps are those of the texts
    at the `batch_size`-th roots: exact, so that nothing is drawn.

    Args:
        lengths: `(n,)` tokens of each text.
        batch_size: texts of a batch, drawn independently.
        count: how many.
    """
    steps = (np.arange(count) + 0.5) / count
    return tuple(int(n) for n in np.quantile(lengths, steps ** (1 / batch_size), method="inverted_cdf"))


def machine_name(device: str = "cpu") -> str:
    """Name this machine's processor (or its accelerator) and cores: a table of another machine is told apart by it."""
    if device.startswith("cuda"):
        import torch  # here: a stored table is read without it

        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model} x{psutil.cpu_count() or 1}"


def busy(spread: float) -> str | None:
    """Return a warning for a machine that did not keep its speed, None for one that did."""
    if not spread > BUSY:  # NaN if nothing was measured
        return None
    return (
        f"the machine was busy: one and the same network's time varied by {spread:.0%} while others were measured, so "
        "that the numbers are doubtful; measure again when it is quiet"
    )
