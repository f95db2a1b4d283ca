"""Parquet and Arrow files, and the names of classes that `datasets` keeps in them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .contents import PACKED, ending_of, read_bytes

if TYPE_CHECKING:
    import pyarrow

_CLASS = "ClassLabel"


def read_parquet(path: Path) -> dict[str, list[Any]]:
    """Read a parquet file.

    Raises:
        InputError: a text that is not UTF-8.
    """
    import pyarrow.parquet  # comes with datasets; a third of a second that CSV users are spared

    return _columns(lambda: pyarrow.parquet.read_table(_source(path)), path)


def read_arrow(path: Path) -> dict[str, list[Any]]:
    """Read an Arrow file, or the stream that `save_to_disk` of `datasets` writes.

    Raises:
        InputError: a text that is not UTF-8.
    """
    return _columns(lambda: _arrow_table(path), path)


def class_names(path: Path, name: str) -> tuple[str, ...]:
    """Return the names of a column's class numbers where a file keeps them as `datasets` does, else nothing."""
    if ending_of(path) == ".parquet":
        import pyarrow.parquet

        kept = pyarrow.parquet.read_schema(_source(path)).metadata
    elif ending_of(path) == ".arrow":
        kept = _arrow_table(path).schema.metadata
    else:
        return ()
    try:
        feature = json.loads((kept or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {}).get(name, {})
        while not isinstance(feature, dict) or (feature.get("_type") != _CLASS and "feature" in feature):
            feature = feature[0] if isinstance(feature, list) else feature["feature"]  # of a list, that of its items
        return tuple(map(str, feature.get("names", ())))
    except (ValueError, AttributeError, LookupError, TypeError):  # metadata of another program
        return ()


def _arrow_table(path: Path) -> pyarrow.Table:
    import pyarrow.ipc

    try:
        return pyarrow.ipc.open_file(_source(path)).read_all()
    except pyarrow.ArrowInvalid:  # no footer: a stream
        return pyarrow.ipc.open_stream(_source(path)).read_all()


def _source(path: Path) -> Any:
    return io.BytesIO(read_bytes(path)) if path.suffix.lower() == PACKED else str(path)


def _columns(read: Callable[[], pyarrow.Table], path: Path) -> dict[str, list[Any]]:
    import pyarrow

    try:
        table = read()
        try:
            return table.to_pydict()
        except UnicodeDecodeError:
            name, row = _first_that_is_no_text(table)
            raise InputError(
                f"row {row} of {path} has something in column {name!r} that is not UTF-8; mend or drop it"
            ) from None
    except pyarrow.ArrowException as error:  # not all of them are ValueErrors
        raise ValueError(str(error)) from error


def _first_that_is_no_text(table: pyarrow.Table) -> tuple[str, int]:
    for name in table.column_names:
        for row, value in enumerate(table.column(name), 1):
            try:
                value.as_py()
            except UnicodeDecodeError:
                return name, row
    raise AssertionError("unreachable: no value fails by itself")
