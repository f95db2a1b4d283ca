"""One clock for the seconds that a job takes over all its attempts."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

from ..digests import digest_of
from ..errors import InputError
from ..files import replace_text
from .processes import is_first_process

_EVERY = 1.0  # seconds between two notes


class Stopwatch:
    """Seconds that a job has taken over all attempts; a context, which writes them down every second.

    So of an attempt that is killed no more than its last second is lost. The owner removes the file in the end.

    Args:
        path: of the file; attempts before this one have left it.
        before: seconds that are known from elsewhere, and are in the file too if there is one.

    Attributes:
        before: seconds of the attempts before this one.
    """

    def __init__(self, path: Path, before: float = 0.0) -> None:
        self._path = path
        self.before = max(before, _stored(path) if path.is_file() else 0.0)
        self._begin = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._note, daemon=True)

    @property
    def seconds(self) -> float:
        """All attempts' together."""
        return self.before + time.monotonic() - self._begin

    def __enter__(self) -> Self:
        if is_first_process():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        if is_first_process():
            self._thread.join()

    def _note(self) -> None:
        ended = False
        while not ended:
            ended = self._ended.wait(_EVERY)
            with suppress(InputError):  # a full disk, of which the job itself will tell
                seconds = self.seconds
                replace_text(self._path, f"{seconds!r} {digest_of(seconds)}")


def _stored(path: Path) -> float:
    """Return the seconds that a stopwatch has left; alone, without their digest, as versions before did."""
    try:
        seconds, _, digest = path.read_text().partition(" ")
        if digest and digest != digest_of(float(seconds)):
            raise ValueError("its digest differs")
        return float(seconds)
    except ValueError as error:
        raise InputError(
            f"{path} is damaged; delete it, and the time of the attempts before this one is not counted"
        ) from error
