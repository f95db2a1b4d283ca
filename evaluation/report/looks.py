"""How each method is drawn: a colour and a marker, the same in every panel, on paper and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Told apart with every kind of colour blindness, in pairs of a light and a dark page. Source: Paul Tol, "Colour
# schemes", SRON 2021, the muted scheme, with its pale colours darkened for white paper.
_COLOURS = (
    ("#332288", "#a79cf0"),
    ("#cc6677", "#f08a9b"),
    ("#117733", "#5fc983"),
    ("#3a9ccc", "#88ccee"),
    ("#882255", "#e07ab0"),
    ("#8a8a1f", "#d8d86a"),
    ("#2f8f80", "#66d1c0"),
    ("#b3802a", "#e8c06a"),
    ("#aa4499", "#dd8fd0"),
)
# Shapes by their names in matplotlib, which writes stars of n points as (n, 1, angle), and in plotly.
_MARKERS: tuple[tuple[str | tuple[int, int, int], str], ...] = (
    ("o", "circle"),
    ("s", "square"),
    ("^", "triangle-up"),
    ("D", "diamond"),
    ("P", "cross"),
    ("v", "triangle-down"),
    ("X", "x"),
    ("p", "pentagon"),
    ("<", "triangle-left"),
    ((4, 1, 0), "star-diamond"),
    (">", "triangle-right"),
    ("h", "hexagon"),
    ("d", "diamond-tall"),
    ((6, 1, 0), "hexagram"),
    ("8", "octagon"),
    ((4, 1, 45), "star-square"),
    ("H", "hexagon2"),
    ((3, 1, 0), "star-triangle-up"),
    ((3, 1, 180), "star-triangle-down"),
    ((8, 1, 0), "asterisk-open"),
)


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        light, dark: its colour on a light and on a dark page.
        marker: its shape in matplotlib.
        symbol: its shape in plotly.
    """

    light: str
    dark: str
    marker: str | tuple[int, int, int]
    symbol: str


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Give each method a look; of up to 20 no two have the same shape."""
    found = {}
    for i, method in enumerate(methods):
        (light, dark), (marker, symbol) = _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]
        found[method] = Look(light, dark, marker, symbol)
    return found
