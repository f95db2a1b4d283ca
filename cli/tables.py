"""Tables that are whole at any width: what does not fit beside the rest goes into a further table below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..evaluation.report.parts import number
from .console import out, print_text

_GAP = 2  # characters between columns
_NARROW = 12  # a column that is folded keeps at least so many


@dataclass(frozen=True, eq=False)
class Column:
    """One column.

    Attributes:
        head: its name, folded at spaces.
        cells: one for each row; folded after slashes only, so that no number is cut.
        left: aligned to the left.
    """

    head: str
    cells: Sequence[str]
    left: bool = False

    @property
    def width(self) -> int:
        """Characters that it takes unfolded."""
        return max(map(len, (*self.head.split(), *self.cells)))

    @property
    def least(self) -> int:
        """Characters that it takes if it is folded as far as it reads well."""
        folds = any("/" in cell for cell in self.cells)
        return min(self.width, max(_NARROW, *map(len, self.head.split()))) if folds else self.width


def show(title: str, columns: Sequence[Column], labels: int = 1, console: Console = out) -> None:
    """Print columns as one table, or as several where the terminal is too narrow; nothing is cut.

    Args:
        title: above it.
        columns: of equally many cells.
        labels: so many of the first columns say which row it is, and stand in each of the tables.
        console: where to; it decides the width.
    """
    print_text(title, console)
    for part in _parts(columns, labels, console.width):
        console.print(_table(part))


def _parts(columns: Sequence[Column], labels: int, width: int) -> list[dict[Column, int]]:
    """Return what goes into each table, with the widths: columns that can be folded last, as wide as there is room."""
    if _taken(column.width for column in columns) <= width:
        return [{column: column.width for column in columns}]
    names, others = list(columns[:labels]), list(columns[labels:])
    head = _fitted({column: column.least for column in names}, width // 2)
    folds = [column for column in others if column.least < column.width]
    parts: list[dict[Column, int]] = []
    for group in ([column for column in others if column not in folds], folds):
        part = dict(head)
        for column in group:
            if len(part) > labels and _taken([*part.values(), column.least]) > width:
                parts.append(part)
                part = dict(head)
            part[column] = column.least
        parts += [part] if len(part) > labels else []
    return [_fitted(part, width) for part in parts]


def _fitted(part: dict[Column, int], width: int) -> dict[Column, int]:
    """Return a table's widths with the room that is left, the narrowest of its share first."""
    widths = dict(part)
    for _ in range(width - _taken(widths.values())):
        growing = [column for column in widths if widths[column] < column.width]
        if not growing:
            break
        widths[min(growing, key=lambda column: widths[column] / column.width)] += 1
    return widths


def _taken(widths: Iterable[int]) -> int:
    return sum(width + _GAP for width in widths)


def _table(widths: dict[Column, int]) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    for column, width in widths.items():
        table.add_column(column.head, justify="left" if column.left else "right", width=width, overflow="fold")
    for row in zip(*([_folded(cell, width) for cell in column.cells] for column, width in widths.items()), strict=True):
        table.add_row(*map(Text, row))
    return table


def _folded(cell: str, width: int) -> str:
    """Break a cell into lines, after slashes."""
    lines = [""]
    for part in re.findall(r"[^/]*/|[^/]+$", cell) or [cell]:
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def amount(value: float | None) -> str:
    """Write a number with three digits, a dash if it is not known."""
    return "-" if value is None else number(value)


def fixed(value: float | None) -> str:
    """Write an error."""
    return "-" if value is None else f"{value:.4f}"


def between(low: float | None, high: float | None, write: Callable[[float], str]) -> str:
    """Write an interval."""
    return "-" if low is None or high is None else f"{write(low)}-{write(high)}"
