"""What is expensive is made once for all processes of a test run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that whichever process of pytest-xdist needs it first makes; tests must leave it as it is.

    Source: pytest-xdist, how-to "Making session-scoped fixtures execute only once".
    """
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    folder.parent.mkdir(exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (made := Path(f"{folder}.made")).exists():
            make(folder)
            made.touch()
    return folder
