"""Local files as tables of columns, read strictly: an error names the file and the row."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .arrow import class_names, read_arrow, read_parquet
from .cells import read_csv, read_tsv
from .contents import ending_of, with_packed
from .json_rows import read_json, read_jsonl

__all__ = [
    "READERS",
    "Table",
    "class_names",
    "column",
    "find_files",
    "group_column",
    "numbered",
    "read_labels",
    "read_table",
    "text_column",
]

Table = dict[str, list[Any]]  # a column per name, all of one length
Reader = Callable[[Path], Table]
NO_NUMBER = ("", "nan", "na", "n/a", "null", "none")  # what an empty cell of a column of numbers looks like in CSV


def read_table(path: Path, readers: Mapping[str, Reader] | None = None) -> Table:
    """Read a file of one of the types of READERS, packed by gzip (`.csv.gz`) or not; a value that is not there is None.

    Cells of a CSV file stay strings, so that a text "007" keeps its zeros; labels are turned into numbers later.

    Args:
        path: the file.
        readers: what reads files of each ending; None for READERS.

    Raises:
        InputError: no such file, another ending, contents that cannot be read, or no rows.
    """
    readers = READERS if readers is None else readers
    if not path.is_file():
        raise InputError(f"{path} does not exist; give the path of a {_listed(readers)} file")
    ending = ending_of(path)
    if ending not in readers:
        raise InputError(
            f"{path.name} ends in {path.suffix or 'nothing'!r}; known file types: {_listed(readers)}, each packed by "
            "gzip (.gz) or not"
        )
    try:
        table = readers[ending](path)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} cannot be read as {ending[1:]} ({reason}); write the file again") from None
    if not table or not len(next(iter(table.values()))):
        raise InputError(f"{path} holds no rows; a data set needs at least a text and its label per row")
    return table


def find_files(folder: Path, splits: Iterable[str], endings: Collection[str]) -> dict[str, Path]:
    """Return the file of each split, named after it, with one of the endings.

    Raises:
        InputError: none, or several; lists what there is.
    """
    found = {}
    for split in splits:
        names = [f"{split}{ending}" for ending in with_packed(endings)]
        paths = [path for path in map(folder.joinpath, names) if path.is_file()]
        if len(paths) > 1:
            raise InputError(f"{folder} holds {', '.join(path.name for path in paths)}; keep one {split} file")
        if not paths:
            *some, last = [f"{split}{ending}" for ending in endings]
            held = ", ".join(sorted(item.name for item in folder.iterdir())) or "nothing"
            raise InputError(f"{folder} lacks {', '.join(some)} or {last}; the folder holds: {held}")
        found[split] = paths[0]
    return found


READERS: dict[str, Reader] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
}


def column(table: Table, name: str, where: object) -> list[Any]:
    """Return a column of ``table``.

    Raises:
        InputError: no such column; lists those there are.
    """
    if name not in table:
        raise InputError(f"{where} has no column {name!r}; its columns: {', '.join(map(str, table))}")
    return table[name]


def text_column(table: Table, name: str, where: object) -> list[str]:
    """Return a column of texts.

    Raises:
        InputError: no such column, or values that are not texts.
    """
    values = column(table, name, where)
    wrong = [row for row, value in enumerate(values, 1) if not isinstance(value, str)]
    if wrong:
        kind = "nothing" if values[wrong[0] - 1] is None else type(values[wrong[0] - 1]).__name__
        raise InputError(
            f"column {name!r} of {where} must hold texts, but {len(wrong)} rows do not: row {wrong[0]} holds {kind}; "
            "drop or mend these rows, or name the column of texts"
        )
    return values


def group_column(table: Table, name: str | None, where: object) -> list[str] | None:
    """Return the group of each row; None if no column of groups is named.

    Raises:
        InputError: no such column, or rows without a group.
    """
    if name is None:
        return None
    values = column(table, name, where)
    missing = [row for row, value in enumerate(values, 1) if _is_missing(value)]
    if missing:
        raise InputError(
            f"column {name!r} of {where} lacks the groups of {len(missing)} of {len(values)} rows, first of row "
            f"{missing[0]}; a row that belongs to no other needs a group of its own"
        )
    found = []
    for row, value in enumerate(values, 1):
        of_words = {str(one) for one in value} if isinstance(value, list) else {str(value)}  # CoNLL: one for each word
        if len(of_words) != 1:
            raise InputError(
                f"row {row} of {where} has several groups in column {name!r}: {', '.join(sorted(of_words)[:5])}; each "
                "row belongs to one"
            )
        found += of_words
    return found


def numbered(groups: list[str] | None) -> NDArray[np.int64] | None:
    """Return the number of each row's group, from 0, `(n,)`."""
    return None if groups is None else np.unique(groups, return_inverse=True)[1].astype(np.int64)


def read_labels(table: Table, name: str, where: object) -> list[str] | list[int] | list[float]:
    """Return a column of labels as one type; digits in strings, as CSV has them, become numbers if all rows allow it.

    Raises:
        InputError: no such column; labels that are missing, infinite or of mixed types.
    """
    values = column(table, name, where)
    if all(isinstance(value, str) for value in values):
        values = _numbers(values) or values
    missing = [row for row, value in enumerate(values, 1) if _is_missing(value)]
    if missing:
        raise InputError(
            f"column {name!r} of {where} lacks {len(missing)} of {len(values)} labels, first in row {missing[0]}; "
            "drop these rows or label them"
        )
    types = Counter(type(value).__name__ for value in values)
    if set(types) == {"int", "float"}:  # JSON writes 1.0 as 1
        values = [float(value) for value in values]
    elif len(types) > 1 or not isinstance(values[0], str | int | float):
        raise InputError(f"column {name!r} of {where} must hold strings or numbers, got {dict(types)}; use one type")
    if isinstance(values[0], float) and not all(map(math.isfinite, values)):
        raise InputError(f"column {name!r} of {where} holds an infinite label; drop or mend its row")
    return values


def _numbers(cells: list[str]) -> list[int] | list[float] | None:
    """Return the numbers that all cells are, with NaN for empty ones; None if a cell is something else."""
    for convert in (int, float):
        try:
            return [math.nan if cell.strip().lower() in NO_NUMBER else convert(cell) for cell in cells]
        except ValueError:
            continue
    return None


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, float) and math.isnan(value))


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names)))
