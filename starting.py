"""Ctrl-C while the command line starts, before it can say anything itself: one line and exit code 130."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = "secateur: interrupted; the same command goes on from here"


def listen() -> None:
    """End the process quietly on Ctrl-C from now on, if it is the command line that is being imported.

    Whoever imports the package for anything else keeps the handler that is there, as do the workers that the command
    line starts, and a process that ignores Ctrl-C (`nohup`).
    """
    if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, end)


def end(number: int, frame: FrameType | None) -> None:
    """Say so and end at once: libraries that are half imported take no exception well, and nothing is written yet."""
    os.write(2, f"{INTERRUPTED}\n".encode())
    os._exit(130)


def _is_command_line() -> bool:
    if "-m" in sys.orig_argv and sys.argv[:1] == ["-m"]:  # what Python puts there until it has found the module
        return sys.orig_argv[sys.orig_argv.index("-m") + 1 :][:1] == ["secateur"]
    script = sys.argv[0] if sys.argv else ""
    return os.path.basename(script) in ("secateur", "secateur.exe") and script in sys.orig_argv
