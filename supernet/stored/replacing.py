"""A model's folder that is either complete or untouched, whatever happens while it is written."""

from __future__ import annotations

import errno
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...errors import InputError
from ..modeling_secateur import PREFIX
from .record import RECORD

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder`, and of all in it, once it is written without an error.

    It lies beside `folder` and is then renamed.

    Raises:
        InputError: a full disk, or a place that cannot be written.
    """
    folder = Path(folder).absolute()
    unique = uuid.uuid4().hex[:8]
    part, old = (folder.with_name(f".{folder.name}.{unique}.{state}") for state in ("part", "old"))
    try:
        part.mkdir(parents=True)
        yield part
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    except Exception as error:  # the writers of weights and tokenizers are in Rust and have exceptions of their own
        if old.exists() and not folder.exists():
            old.rename(folder)
        if _disk_is_full(error):
            raise InputError(f"cannot save to {folder}: the disk is full; free some space and run again") from error
        if isinstance(error, OSError):
            raise InputError(f"cannot save to {folder}: {error.strerror or error}; choose another folder") from error
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


def _disk_is_full(error: Exception) -> bool:
    return getattr(error, "errno", None) in _FULL or any(f"(os error {code})" in str(error) for code in _FULL)
