"""How each method is drawn: a colour and a marker, the same in every panel, on paper and on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

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


_LETTERS = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


def glyph(look: Look, *, hollow: bool = False) -> str:
    """Return a method's marker as an SVG picture for a legend, in its colour of the page's scheme."""
    style = MarkerStyle(look.marker)
    outline = style.get_path().transformed(style.get_transform())
    size = 8 / np.abs(outline.vertices).max()
    outline = outline.transformed(Affine2D().scale(size, -size))
    parts = [
        _LETTERS[code] + " ".join(f"{n:.1f}" for n in points) if code in _LETTERS else "Z"
        for points, code in outline.iter_segments(simplify=False)
    ]
    colours = f"--light:{look.light};--dark:{look.dark}"
    kind = "glyph hollow" if hollow else "glyph"
    drawn = f'<path d="{"".join(parts)}"/>'
    return f'<svg class="{kind}" viewBox="-9 -9 18 18" aria-hidden="true" style="{colours}">{drawn}</svg>'
