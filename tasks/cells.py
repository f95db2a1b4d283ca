"""Rows of cells: CSV, and TSV in the two ways that there are of it."""

from __future__ import annotations

import csv
import io
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import InputError
from .contents import read_text

_LIMIT = threading.Lock()  # the limit of a cell's length is one for the whole process


def read_csv(path: Path) -> dict[str, list[str]]:
    """Read rows of cells between commas, below a header line; between semicolons or tabs where that has no comma.

    Raises:
        InputError: a line that is none of such rows.
    """
    text = read_text(path)
    header = text.lstrip("\r\n").partition("\n")[0]
    between = next((mark for mark in ",;\t" if mark in header), ",")
    return _quoted(text, path, between)


def read_tsv(path: Path) -> dict[str, list[str]]:
    r"""Read rows of cells between tabs, below a header line.

    Most such files, GLUE's own among them, have no quotes: one in a text is a character like others, even the first.
    Others put a cell that holds a quote between quotes, and write those in it twice; then a cell may hold tabs and line
    breaks, too. Where every line is a row as it stands, only cells that show the latter, by quotes in pairs inside of
    quotes, are taken out of them.

    Raises:
        InputError: a line that is none of such rows.
    """
    text = read_text(path)
    rows = [line.split("\t") for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n") if line]
    if not rows or len({len(row) for row in rows}) > 1 or all(cell[:1] == '"' for cell in rows[0]):
        return _quoted(text, path, "\t")
    return _columns(rows[0], [[_unquoted(cell) for cell in row] for row in rows[1:]], path)


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"' or '""' not in inner or '"' in inner.replace('""', ""):
        return cell
    return inner.replace('""', '"')


def _quoted(text: str, path: Path, between: str) -> dict[str, list[str]]:
    with _long_cells():
        reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=between)
        names: list[str] | None = None
        cells: list[list[str]] = []
        begins = 1  # the line where a row begins: one whose quote is not closed ends with the file
        try:
            for row in reader:
                if names is None and row:
                    names = row
                elif row:  # not an empty line
                    cells.append(row)
                    if len(row) != len(names or ()):
                        raise InputError(_ragged(begins, path, len(row), names or [], between))
                begins = reader.line_num + 1
        except csv.Error as error:
            raise InputError(
                f"the row that begins in line {begins} of {path} cannot be read ({error}); put cells that hold quotes "
                'in double quotes, and write those in them twice: "he said ""no"""'
            ) from None
    return _columns(names or [], cells, path)


def _ragged(line: int, path: Path, came: int, names: list[str], between: str) -> str:
    mark = {",": "commas", ";": "semicolons", "\t": "tabs"}[between]
    return (
        f"line {line} of {path} has {came} cells, but the header names {len(names)} columns; put cells that hold "
        f"{mark} in double quotes"
    )


def _columns(names: list[str], cells: list[list[str]], path: Path) -> dict[str, list[str]]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path} names the column {twice!r} twice; rename one of them")
    return {name: [row[i] for row in cells] for i, name in enumerate(names)}


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the limit of 131,072 characters that Python sets to a cell."""
    with _LIMIT:
        before = csv.field_size_limit(sys.maxsize)
        try:
            yield
        finally:
            csv.field_size_limit(before)
