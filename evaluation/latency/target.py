"""What a latency belongs to."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil
import torch
from pydantic import BaseModel, ConfigDict, Field


class LatencyTarget(BaseModel):
    """Everything that must be said beside a latency for it to mean something."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str
    device: str = "cpu"
    threads: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    sequence_length: int = Field(ge=1)
    precision: str = "float32"

    @property
    def name(self) -> str:
        """A file name for this target on its machine."""
        return f"{self.device}-t{self.threads}-b{self.batch_size}-s{self.sequence_length}-{self.precision}"

    def __str__(self) -> str:
        return (
            f"{self.machine}, {self.device}, {self.threads} threads, batch {self.batch_size}, "
            f"{self.sequence_length} tokens, {self.precision}"
        )


def machine_name(device: str = "cpu") -> str:
    """Name this machine's processor (or its accelerator) and cores: a table of another machine is told apart by it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model} x{psutil.cpu_count() or 1}"
