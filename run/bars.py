"""What a person at a notebook sees of long jobs: lines, and rich's bars."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from .telling import Ticker

WIDTH = 100


def bar_columns() -> tuple[Any, ...]:
    """Return what a bar is made of."""
    title, note = TextColumn("{task.description}"), TextColumn("{task.fields[note]}")
    return title, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(), note


class Bars:
    """A teller for notebooks: prints what is said, draws a bar for each job over itself; needs no widgets.

    Example:
        >>> run = Run("runs/demo", tell=Bars())
    """

    def say(self, text: str) -> None:
        """Print a line."""
        print(text)

    @contextmanager
    def progress(self, title: str) -> Iterator[Ticker]:
        """Show a bar until the job ends, and leave it as it is then."""
        from IPython.display import display  # where there is a notebook, there is IPython

        bar = _Bar(title)
        handle: Any = display(bar, display_id=True)

        def tick(done: int, total: int, note: str = "") -> None:
            if bar.moved(done, total, note) and handle is not None:
                handle.update(bar)

        yield tick


class _Bar:
    """One job, as text."""

    def __init__(self, title: str) -> None:
        self._progress = Progress(*bar_columns(), console=Console(file=io.StringIO()), auto_refresh=False)
        self._job = self._progress.add_task(title, total=None, note="")
        self._drawn = ""

    def moved(self, done: int, total: int, note: str) -> bool:
        """Take how far the job is; say whether that is to be seen: a fiftieth more, or the end."""
        before = self._drawn
        self._drawn = f"{50 * done // max(total, 1)}{note if done >= total else ''}"
        self._progress.update(self._job, completed=done, total=total, note=note)
        return self._drawn != before

    def __repr__(self) -> str:
        drawing = Console(file=io.StringIO(), width=WIDTH, force_jupyter=False, force_terminal=False, color_system=None)
        drawing.print(self._progress.get_renderable(), end="")
        return drawing.file.getvalue().rstrip()  # pyright: ignore[reportAttributeAccessIssue]
