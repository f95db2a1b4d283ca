"""Ctrl-C: one line and exit code 130, wherever it falls."""

from __future__ import annotations

import signal
import sys
from types import FrameType

from .. import starting

_AGAIN_SECONDS = 5.0


class Interrupted(KeyboardInterrupt):
    """What Ctrl-C raises here.

    Python remembers a plain `KeyboardInterrupt` that leaves a text of code (libraries run many while they are imported)
    and kills the process with the signal at its end, though it was caught and the exit code is another.
    """


_asked = False


def listen() -> None:
    """Raise :class:`Interrupted` on Ctrl-C from now on; a process that ignores it (`nohup`) goes on to."""
    if signal.getsignal(signal.SIGINT) in (signal.default_int_handler, starting.end):
        signal.signal(signal.SIGINT, _interrupt)


def was_asked() -> bool:
    """Return whether Ctrl-C came: libraries make other errors of what it raises."""
    return _asked


def heard() -> int:
    """Let it not come again, say so, and return the exit code."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    print(starting.INTERRUPTED, file=sys.stderr)
    return 130


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    if hasattr(signal, "setitimer"):  # a library that is being imported may swallow it, so it comes again
        signal.signal(signal.SIGALRM, _interrupt)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS)
    raise Interrupted
