"""One clock for the seconds that a job takes over all its attempts."""

from __future__ import annotations

import math
import time
from pathlib import Path

from ..files import replace_text


class Stopwatch:
    """Seconds that a job has taken over all attempts, on the disk but for the last second of one that was killed.

    Args:
        path: a file of the job's state.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = float(path.read_text()) if path.is_file() else 0.0
        self._begin, self._written = time.monotonic(), -math.inf

    @property
    def seconds(self) -> float:
        """All attempts' together."""
        return self._before + time.monotonic() - self._begin

    def beat(self) -> None:
        """Write the seconds down, if that was a second ago."""
        if time.monotonic() - self._written >= 1.0:
            self._written = time.monotonic()
            replace_text(self._path, repr(self.seconds))
