"""Whom a long job tells what it is doing: nobody, a terminal, a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol


class Ticker(Protocol):
    """Is told how far a job is."""

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps are done."""
        ...


class Teller(Protocol):
    """Is told what is going on."""

    def say(self, text: str) -> None:
        """Take a line about what was done, or a warning."""
        ...

    def progress(self, title: str) -> AbstractContextManager[Ticker]:
        """Return the context of a long job, which yields what its steps are reported to."""
        ...


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Drop it."""

    @contextmanager
    def progress(self, title: str) -> Iterator[Ticker]:
        """Yield what drops it."""
        yield _dropped


def _dropped(done: int, total: int, note: str = "") -> None:
    pass


SILENT = Silent()


def duration(seconds: float) -> str:
    """Write seconds for people."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"


def call_of(run: Path, verb: str, **settings: object) -> str:
    """Write a call of a run's verb for a message; the command line turns it into a command."""
    given = ", ".join(f'{name}="{v}"' if isinstance(v, str) else f"{name}={v}" for name, v in settings.items())
    return f'`Run("{run}").{verb}({given})`'
