"""Texts from local files, without labels: what a model is going to read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError
from .contents import ending_of, read_text
from .tables import READERS, Table, read_table, text_column

LINES = ".txt"  # a text on each line


def read_texts(paths: Sequence[Path], column: str | None = None, second: str | None = None) -> Iterator[str]:
    """Yield the texts of files: each row's, and of pairs each row's second one, too.

    Args:
        paths: files of the types of READERS, or `.txt` with a text on each line, packed by gzip or not; or folders, of
            which all such files are read.
        column: of the texts; "text" if None.
        second: of the second texts of pairs.

    Raises:
        InputError: a missing file or column, unreadable contents, or a folder without such files.
    """
    for path in (file for given in paths for file in _files(given)):
        table = read_table(path, {**READERS, LINES: read_lines})
        names = ("text", None) if ending_of(path) == LINES else (column or "text", second)
        for name in names:
            if name is not None:
                yield from text_column(table, name, path)


def read_lines(path: Path) -> Table:
    """Return the lines of a file, without those that are empty, as a column "text"."""
    return {"text": [line for line in read_text(path).splitlines() if line.strip()]}


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    endings = {*READERS, LINES}
    found = sorted(file for file in path.iterdir() if file.is_file() and ending_of(file) in endings)
    if not found:
        raise InputError(f"{path} holds no file of texts; expected one that ends in {', '.join(sorted(endings))}")
    return found
