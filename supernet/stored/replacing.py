"""A model's folder that is either complete or untouched, whatever happens while it is written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ...files import beside, in_one_line, put, sweep
from ..modeling_secateur import PREFIX
from .record import RECORD


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder`, and of all in it, once it is written without an error.

    It lies beside `folder`, is on the disk, and is then renamed.

    Raises:
        InputError: a full disk, or a place that cannot be written.
    """
    folder = Path(folder).absolute()
    part, old = beside(folder, "part"), beside(folder, "old")
    with in_one_line(folder):
        try:
            part.mkdir(parents=True)
            yield part
            if folder.exists():
                os.replace(folder, old)
            put(part, folder)
            sweep(folder)
        except Exception:
            if old.exists() and not folder.exists():
                os.replace(old, folder)
            raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Check that a checkpoint may be written to `folder`: it is not there, empty, or one that Secateur wrote.

    Raises:
        InputError: it holds something else.
    """
    folder = Path(folder)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())) or (folder / RECORD).is_file():
        return
    try:
        found = json.loads((folder / "config.json").read_bytes())["model_type"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if not str(found).startswith(PREFIX):
        raise InputError(f"{folder} exists and is no extracted model; choose another folder, or remove it yourself")
