"""Numbers for people."""

from __future__ import annotations

import math

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


def _fixed(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"
