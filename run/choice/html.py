"""A table of HTML, which notebooks show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .columns import Column


def html_table(columns: Sequence[Column], caption: str, notes: Sequence[str] = ()) -> str:
    """Return columns as a table.

    Args:
        columns: of equally many cells.
        caption: above it.
        notes: below it, a line each.
    """
    head = "".join(f"<th>{escape(column.head)}</th>" for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    body = "\n".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    left = "style='text-align: left; caption-side: top'"
    below = "".join(f"\n<p>{escape(note)}</p>" for note in notes)
    return f"<table><caption {left}>{escape(caption)}</caption>\n<tr>{head}</tr>\n{body}\n</table>{below}"
