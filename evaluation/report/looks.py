"""How each method is drawn: a colour and a marker of its own, in every picture, page and run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path as Outline
from matplotlib.transforms import Affine2D

from ...pruners import PRUNERS
from ...searchers import SEARCHERS

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
# Shapes by their names in plotly and in matplotlib, which writes stars of n points as (n, 1, angle).
_MARKERS: dict[str, str | tuple[int, int, int] | list[tuple[int, int]]] = {
    "circle": "o",
    "square": "s",
    "triangle-up": "^",
    "diamond": "D",
    "cross": "P",
    "triangle-down": "v",
    "x": "X",
    "pentagon": "p",
    "triangle-left": "<",
    "star-diamond": (4, 1, 0),
    "triangle-right": ">",
    "hexagon": "h",
    "diamond-tall": "d",
    "hexagram": (6, 1, 0),
    "octagon": "8",
    "star-square": (4, 1, 45),
    "hexagon2": "H",
    "star-triangle-up": (3, 1, 0),
    "star-triangle-down": (3, 1, 180),
    "hourglass": [(-1, 1), (1, 1), (-1, -1), (1, -1)],
    "bowtie": [(-1, 1), (-1, -1), (1, 1), (1, -1)],
    "diamond-wide": [(-2, 0), (0, -1), (2, 0), (0, 1)],
}
_SHIFT = 4  # of a searcher's colour: a pruner with its shape has another one
_TURN = np.linspace(0, 2 * np.pi, 16)
_DOT = 0.25 * np.column_stack([np.sin(_TURN), np.cos(_TURN)])  # clockwise
_SEARCHED = re.compile(r"(?:standard )?nas \((\w+)\)")  # what people call what a searcher found


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        light, dark: its colour on a light and on a dark page.
        symbol: its shape in plotly; a search's has a dot.
        marker: its shape in matplotlib, an outline from -1 to 1; a search's has a hole.
    """

    light: str
    dark: str
    symbol: str
    marker: Outline


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Give each method, by what people call it, its look: that of its place in its registry.

    No two of the registered methods look alike, nor do they without colours. One with changed options, such as `kcm
    (1,000 texts)`, has its method's colour and another shape.
    """
    return {method: _look(method) for method in methods}


def _look(method: str) -> Look:
    searched = _SEARCHED.fullmatch(method)
    name = searched[1] if searched else method.partition(" (")[0]
    is_search = name in SEARCHERS
    order = list(SEARCHERS if is_search else PRUNERS)
    at = order.index(name) if name in order else crc32(name.encode())
    colour = at + _SHIFT if is_search else at
    if method not in (name, f"nas ({name})"):
        at += 1 + crc32(method.encode()) % (len(_MARKERS) - 1)
    symbol, marker = list(_MARKERS.items())[at % len(_MARKERS)]
    light, dark = _COLOURS[colour % len(_COLOURS)]
    return Look(light, dark, f"{symbol}-dot" if is_search else symbol, _outline(marker, dotted=is_search))


def _outline(marker: str | tuple[int, int, int] | list[tuple[int, int]], *, dotted: bool) -> Outline:
    style = MarkerStyle(marker)
    outline = style.get_path().transformed(style.get_transform())
    outline = outline.transformed(Affine2D().scale(1 / np.abs(outline.vertices).max()))
    if not dotted:
        return outline
    x, y = np.transpose(outline.to_polygons()[0])
    turns_left = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0
    dot = (_DOT if turns_left else _DOT[::-1]) + (x[:-1].mean(), y[:-1].mean())
    return Outline.make_compound_path(outline, Outline(dot, closed=True))  # against the outline's turn: a hole


_LETTERS = {Outline.MOVETO: "M", Outline.LINETO: "L", Outline.CURVE3: "Q", Outline.CURVE4: "C"}


def glyph(look: Look, *, hollow: bool = False) -> str:
    """Return a method's marker as an SVG picture for a legend, in its colour of the page's scheme."""
    outline = look.marker.transformed(Affine2D().scale(8, -8))
    parts = [
        _LETTERS[code] + " ".join(f"{n:.1f}" for n in points) if code in _LETTERS else "Z"
        for points, code in outline.iter_segments(simplify=False)
    ]
    colours = f"--light:{look.light};--dark:{look.dark}"
    kind = "glyph hollow" if hollow else "glyph"
    drawn = f'<path d="{"".join(parts)}"/>'
    return f'<svg class="{kind}" viewBox="-9 -9 18 18" aria-hidden="true" style="{colours}">{drawn}</svg>'
