"""Digests by which the files of a run are known: one that has changed since it was written is named when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import InputError
from .files import replace_text

DIGESTS = "digests.json"  # of a folder's files, beside them
_KEY = "digest"  # of a JSON file's other values, within it
_COPY = "put back a copy of it"
_SIZE = 16  # bytes: against accidents, not against somebody who writes digests too


def digest_of(value: Any) -> str:
    """Return a digest of what JSON can say, whatever the order of keys and the layout of the text."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_SIZE).hexdigest()


def file_digest(path: Path, algorithm: str = "blake2b") -> str:
    """Return a file's digest; a file is read once per process, until it changes."""
    status = path.stat()
    state = status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
    return _file_digest(path.resolve(), algorithm, state)


@lru_cache(1024)
def _file_digest(path: Path, algorithm: str, state: tuple[int, ...]) -> str:
    del state  # of the file: another one is another question
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def seal(folder: Path) -> None:
    """Write the digests of all files of a folder, which nobody else sees yet, into it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    write_json(folder / DIGESTS, {path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def change_in(folder: Path, *, weights: bool = True) -> str | None:
    """Return what has changed in a folder since :func:`seal`; None if nothing has, or if it has no digests.

    Args:
        folder: where the files are.
        weights: read the large ones too.

    Raises:
        InputError: the digests themselves are damaged.
    """
    if not (folder / DIGESTS).is_file():
        return None
    known = read_json(folder / DIGESTS, _COPY)
    if not isinstance(known, dict):
        raise InputError(f"{folder / DIGESTS} is damaged (no object); {_COPY}")
    for name, digest in known.items():
        path = folder / name
        if not weights and path.suffix == ".safetensors":
            continue
        if not path.is_file():
            return f"{path} is gone"
        if file_digest(path) != digest:
            return f"{path} is damaged: it is not the file that was written (its digest differs)"
    return None


def check_sealed(folder: Path, *, weights: bool = True) -> None:
    """Check the files of a folder against the digests in it, as :func:`change_in` has it.

    Raises:
        InputError: a file has changed or is gone, or the digests are damaged.
    """
    if (change := change_in(folder, weights=weights)) is not None:
        raise InputError(f"{change}; {_COPY}, or delete {folder / DIGESTS} if this change is yours")


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON with its own digest in it; the file is whole or as it was.

    Raises:
        InputError: a full disk, or a place that cannot be written.
    """
    plain = json.loads(json.dumps(value))  # as it will be read: tuples are lists, keys are texts
    replace_text(path, json.dumps({**plain, _KEY: digest_of(plain)}, indent=1) + "\n")


def read_json(path: Path, again: str) -> Any:
    """Return the object that :func:`write_json` wrote; what has no digest, as of earlier versions, is as it is.

    Args:
        path: the file.
        again: what gets it back, for the message.

    Raises:
        InputError: it is damaged, or not there.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        digest = found.pop(_KEY, None) if isinstance(found, dict) else None
        if digest is not None and digest != digest_of(found):
            raise ValueError("its digest differs")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = str(error) if type(error) is ValueError else type(error).__name__
        raise InputError(f"{path} is damaged ({reason}); {again}") from error
    return found
