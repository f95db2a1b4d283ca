"""Files that are either whole or as they were, whatever happens while they are written."""

from __future__ import annotations

import errno
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Of places that cannot be read or written, whatever is in them.
UNUSABLE = (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)
# The writers in Rust (safetensors, tokenizers) and C++ (torch.save) have errors of their own.
_SIGNS = (
    *(f"(os error {code})" for code in _FULL),
    "PytorchStreamWriter failed",
    "inline_container.cc",
    "iostream error",
)


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield where to write a file, which takes the place of `path` in one rename if that ends without an error.

    It lies beside `path`, whose folder is made, and is on the disk before it is renamed.

    Raises:
        InputError: a full disk, or a place that cannot be written.
    """
    path = Path(path).absolute()
    part = beside(path, "part")
    with in_one_line(path):
        try:
            if not path.parent.exists():  # a file in the place of the folder is then "not a directory"
                path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            put(part, path)
        finally:
            with suppress(OSError):
                part.unlink()


def replace_text(path: Path, text: str) -> None:
    """Write a text as :func:`replace_file` has it, in UTF-8."""
    with replace_file(path) as part:
        part.write_text(text, encoding="utf-8")


def beside(path: Path, state: str) -> Path:
    """Return a hidden name in the same folder that nobody else has."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{state}")


def sweep(path: Path) -> None:
    """Remove what processes that were killed while they wrote a file or a folder have left beside it.

    Nobody else may be writing it.
    """
    for left in path.parent.glob(f".{glob.escape(path.name)}.????????.*"):
        if left.suffix in (".part", ".old"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def put(part: Path, path: Path) -> None:
    """Rename a file, or a folder, once all of it is on the disk; only a file may be in its place."""
    for written in (*part.rglob("*"), part):
        _sync(written)
    os.replace(part, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk; Windows does that for files only."""
    if path.is_dir():
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    else:
        with path.open("r+b") as file:
            os.fsync(file.fileno())


@contextmanager
def in_one_line(path: Path) -> Iterator[None]:
    """Turn the errors of writing `path` into an :class:`InputError` that says what to do."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if disk_is_full(error):
            raise InputError(f"cannot write {path}: the disk is full; free some space and run again") from error
        if isinstance(error, OSError):
            raise InputError(f"cannot write {path}: {error.strerror or error}; choose another place") from error
        raise


def disk_is_full(error: BaseException | None) -> bool:
    """Tell whether an error, or what it came from, is a full disk."""
    while error is not None:
        if getattr(error, "errno", None) in _FULL or any(sign in str(error) for sign in _SIGNS):
            return True
        error = error.__cause__ or error.__context__
    return False
