"""What workers do in the tests of the farm; in a module of its own, which their processes can import."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from secateur.errors import InputError


@dataclass(frozen=True)
class Crew:
    """Work that notes each attempt in a file, as `job pid`, and then does what the job says."""

    diary: Path

    def __call__(self) -> Callable[[str], str]:
        with (self.diary.parent / "prepared").open("a") as file:
            file.write(f"{os.getpid()}\n")

        def work(job: str) -> str:
            with self.diary.open("a") as file:
                file.write(f"{job} {os.getpid()}\n")
            if job.startswith("raise"):
                raise ValueError(f"{job}\nfor good")
            if job.startswith("die"):
                os._exit(1)
            time.sleep(0.02)
            return job.upper()

        return work


def unprepared() -> Callable[[str], str]:
    """Work that no worker can do."""
    raise InputError("it has no supernet")


def whose(tags: Path) -> int:
    """Note who measures, and for how long."""
    with tags.open("a") as file:
        file.write(f"begin {os.getpid()}\n")
    time.sleep(0.05)
    with tags.open("a") as file:
        file.write(f"end {os.getpid()}\n")
    return os.getpid()
