"""What a person sees: progress, tables, errors."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from ..evaluation.model import rounded
from ..run.bars import bar_columns
from ..run.processes import is_first_process
from ..run.telling import duration

# Results go to stdout, so that they can be piped; everything said on the way goes to stderr.
# A pipe is no terminal, even where Jupyter tells programs to use colours (FORCE_COLOR); rich takes it for 80 columns
# wide unless COLUMNS says otherwise.
_WIDTH = None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else 160
out = Console(highlight=False, soft_wrap=True, force_terminal=sys.stdout.isatty(), width=_WIDTH)
err = Console(stderr=True, highlight=False, soft_wrap=True, force_terminal=sys.stderr.isatty())
_PLAIN_SECONDS = 10.0
SCHEMA = 1  # of all that is printed as JSON: one more where a name goes or changes its meaning


def say(text: str) -> None:
    """Print a line about what is going on; of several processes the first one speaks."""
    if is_first_process():
        err.print(text, markup=False)


def print_text(text: str, console: Console = out) -> None:
    """Print a sentence, folded at spaces; what is to be copied, such as a path or a command, is printed unfolded."""
    console.print(Text(text), soft_wrap=False, no_wrap=False, overflow="fold")


def print_json(facts: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print an object, or a list of them, as JSON: rounded, with the version of the schema in each."""
    several = not isinstance(facts, Mapping)
    stamped = [{"schema": SCHEMA, **rounded(one)} for one in (facts if several else [facts])]
    text = json.dumps(stamped if several else stamped[0], indent=2, ensure_ascii=False)
    if out.is_terminal:
        out.print_json(text, ensure_ascii=False)
    else:  # nothing is coloured there, which takes longer than all else
        print(text, file=out.file)


class Ticker:
    """Tells how far a long job is."""

    def __init__(self, title: str, progress: Progress | None) -> None:
        self._title = title
        self._progress = progress
        self._task = progress.add_task(title, total=None, note="") if progress else None
        self._begin = self._said = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show that `done` of `total` steps are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total, note=note)
            return
        now = time.monotonic()
        if self._first is None:
            self._first = done - 1
        if now - self._said >= _PLAIN_SECONDS or done >= total:
            self._said = now
            pace = (now - self._begin) / max(1, done - self._first)
            left = f", about {duration(pace * (total - done))} left" if 0 < done < total else ""
            say(f"{self._title}: {done}/{total}{left}{'  ' + note if note else ''}")


@contextmanager
def progress(title: str) -> Iterator[Ticker]:
    """Show a bar with an estimate on a terminal, plain lines elsewhere."""
    if not (err.is_terminal and is_first_process()):
        yield Ticker(title, None)
        return
    with Progress(*bar_columns(), console=err) as bar:
        yield Ticker(title, bar)


class Terminal:
    """Tells the person at the terminal."""

    say = staticmethod(say)
    progress = staticmethod(progress)


TERMINAL = Terminal()


def fail(message: str) -> int:
    """Print an error as one line on stderr and return the exit code for it."""
    print(f"secateur: {' '.join(str(message).split())}", file=sys.stderr)
    return 2
