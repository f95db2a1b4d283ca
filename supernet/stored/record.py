"""`secateur.json` beside a checkpoint: what Secateur wrote there, so that a changed or damaged file is noticed."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from ...digests import file_digest
from ...errors import InputError
from ...files import replace_text

Form = Literal["auto", "stock", "portable", "secateur"]  # what may be asked for
Written = Literal["stock", "portable", "secateur", "packed"]  # what is written
RECORD, CARD, PICTURE = "secateur.json", "README.md", "front.png"


@dataclass(frozen=True)
class Record:
    """What is known of a checkpoint that Secateur wrote.

    Attributes:
        form: how it was written.
        card: the numbers of its card, as JSON has them.
        sha256: of its files, by name; the card and its picture may be edited later.
    """

    form: Written
    card: Mapping[str, Any]
    sha256: Mapping[str, str]


def record_of(folder: Path, form: Written, card: Mapping[str, Any]) -> Record:
    """Make the record of a checkpoint in `folder`, which has nothing else in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (RECORD, CARD, PICTURE))
    return Record(form, card, {path.relative_to(folder).as_posix(): _digest(path) for path in files})


def write_record(folder: Path, record: Record) -> None:
    """Write the record of a checkpoint; the one that is there is replaced."""
    values = {"secateur": importlib.metadata.version("secateur"), "form": record.form, "card": dict(record.card)}
    replace_text(folder / RECORD, json.dumps({**values, "sha256": dict(record.sha256)}, indent=2) + "\n")


def read_record(folder: Path) -> Record | None:
    """Return the record of the checkpoint in a folder; None if Secateur did not write it.

    Raises:
        InputError: the record is damaged.
    """
    path = Path(folder) / RECORD
    try:
        text = path.read_bytes()
    except OSError:
        return None
    try:
        found = json.loads(text)
        form = next(form for form in get_args(Written) if form == found["form"])
        return Record(form, dict(found["card"]), {str(name): str(one) for name, one in found["sha256"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise InputError(
            f"{path} is damaged, so what lies beside it cannot be checked; get the checkpoint again"
        ) from error


def check_record(folder: Path) -> None:
    """Check that the files of a checkpoint are those that Secateur wrote; one without a record is not looked at.

    Raises:
        InputError: a file has changed or is gone, or the record is damaged.
    """
    record = read_record(folder)
    for name, digest in record.sha256.items() if record else ():
        path = folder / name
        if not path.is_file():
            problem = "is gone"
        elif _digest(path) != digest:
            problem = "is not the file that Secateur wrote (its sha256 differs)"
        else:
            continue
        raise InputError(f"{path} {problem}; get the checkpoint again, or delete {RECORD} if this change is yours")


def _digest(path: Path) -> str:
    return file_digest(path, "sha256")
