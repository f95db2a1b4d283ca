"""What the pages of a report have in common: numbers for people, tables, embedded data, files replaced at once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

DASH = "\N{EN DASH}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with significant digits, a dash if it is not known; large ones with k, M or G.

    Example:
        >>> number(5_321_000.0), number(0.08256), number(None)
        ('5.32 M', '0.0826', '–')
    """
    if value is None or not math.isfinite(value):
        return DASH
    rounded = float(f"{value:.{digits - 1}e}")
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(rounded) >= size:
            return _fixed(rounded / size, digits) + unit
    return _fixed(rounded, digits)


def duration(seconds: float) -> str:
    """Write seconds for people: `8.2 s`, `3 min 05 s`, `2 h 10 min`; a dash if not known."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _fixed(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def error(value: float | None) -> str:
    """Write an error with four digits, a dash if it is not known."""
    return DASH if value is None or not math.isfinite(value) else f"{value:.4f}"


def small(text: str) -> str:
    """Return HTML that sets what is in brackets on a smaller line of its own."""
    value, _, rest = text.partition(" (")
    return f"{value}<small>({rest}</small>" if rest else text


def percent(value: float) -> str:
    """Write a share as a percentage, a dash if it is not a number."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else DASH


def finite(value: float | None) -> float | None:
    """Return a number, None for what JSON has no number for."""
    return float(value) if value is not None and math.isfinite(value) else None


def embedded(data: Any) -> str:
    """Return data as JSON that is safe inside a script element."""
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def table(names: Sequence[str], rows: Iterable[Sequence[str]], *, head: bool = True, numeric: int = -1) -> str:
    """Return a plain table; cells are HTML already, the column `numeric` is set in figures of equal width."""
    kind = [' class="number"' if i == numeric else "" for i in range(len(names))]
    lines = ["<table>"]
    if head:
        titles = (f'<th scope="col"{look}>{name}</th>' for name, look in zip(names, kind, strict=True))
        lines.append(f"<thead><tr>{''.join(titles)}</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        cells = (f"<td{look}>{cell}</td>" for cell, look in zip(rest, kind[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def part(name: str) -> str:
    """Return the text of a file beside this one."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
