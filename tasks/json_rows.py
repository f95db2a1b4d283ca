"""Rows of JSON: one object per line, an array of objects, or an object of columns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import InputError
from .contents import read_text

_HALF = re.compile("[\ud800-\udfff]")  # half of a character such as an emoji, which stands for nothing by itself
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # how JSON writes it
_UNKNOWN = "\N{REPLACEMENT CHARACTER}"


def read_jsonl(path: Path) -> dict[str, list[Any]]:
    """Read one object per line; a value that is not there is None.

    Raises:
        InputError: a line that is none.
    """
    return _columns(_objects_of_lines(read_text(path), path))


def read_json(path: Path) -> dict[str, list[Any]]:
    """Read an array of objects; or an object of arrays, one for each column; or one object per line.

    Raises:
        InputError: other contents.
    """
    return table_of(load_json(path), path)


def load_json(path: Path) -> Any:
    """Return what a `.json` file holds, or the objects of its lines.

    Raises:
        InputError: it is not JSON, or too deep.
    """
    text = read_text(path)
    try:
        return _parsed(text)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and error.lineno > 1 and text.lstrip()[:1] == "{":
            return _objects_of_lines(text, path)
        raise InputError(f"line {error.lineno} of {path} is not JSON ({error}); write the file again") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; lists in lists
        raise InputError(f"{path} is not JSON that can be read ({_reason(error)}); write the file again") from None


def table_of(found: Any, path: Path) -> dict[str, list[Any]]:
    """Return the columns of an array of objects, or of an object of arrays.

    Raises:
        InputError: anything else.
    """
    if isinstance(found, dict) and isinstance(found.get("data"), list):  # as `{"version": ..., "data": [...]}`
        found = found["data"]
    if isinstance(found, dict) and found and all(isinstance(values, list) for values in found.values()):
        lengths = {name: len(values) for name, values in found.items()}
        if len(set(lengths.values())) > 1:
            raise InputError(f"the columns of {path} must have one length, got {lengths}; write the file again")
        return found
    if not isinstance(found, list):
        raise InputError(
            f"{path} holds one {type(found).__name__}; write an array of objects, one for each row, or one object per "
            "line"
        )
    for row, value in enumerate(found, 1):
        if not isinstance(value, dict):
            raise InputError(f"row {row} of {path} is a {type(value).__name__}; write an array of objects")
    return _columns(found)


def _objects_of_lines(text: str, path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = _parsed(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"line {number} of {path} is not JSON ({_reason(error)}); write one object per line"
            ) from None
        if not isinstance(row, dict):
            array = " (an array of objects is read from a file that ends in .json)" if isinstance(row, list) else ""
            raise InputError(f"line {number} of {path} holds a {type(row).__name__}; write one object per line{array}")
        rows.append(row)
    return rows


def _columns(rows: Iterable[dict[str, Any]]) -> dict[str, list[Any]]:
    rows = list(rows)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: [row.get(name) for row in rows] for name in names}


def _parsed(text: str) -> Any:
    value = json.loads(text)
    return _whole(value) if _ESCAPED_HALF.search(text) else value


def _whole(value: Any) -> Any:
    """Replace halves of characters, as texts have that were cut by a program that counts in UTF-16.

    No tokenizer takes them, and U+FFFD is what every other program shows in their place.
    """
    if isinstance(value, str):
        return _HALF.sub(_UNKNOWN, value)
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, dict):
        return {_whole(name): _whole(item) for name, item in value.items()}
    return value


def _reason(error: Exception) -> str:
    return "lists or objects in each other, too deep" if isinstance(error, RecursionError) else str(error)
