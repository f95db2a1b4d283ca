"""How each method is drawn: a colour and a marker of its own, in every picture, page and run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ...pruners import PRUNERS
from ...searchers import SEARCHERS
from ..weights import Weights

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


def _ring(points: int, *, inner: float = 1.0, turn: float = 0.0) -> NDArray[np.float64]:
    """Return corners `(points, 2)` around the middle, from the top to the left; every other one is `inner` from it."""
    angles = np.radians(turn + np.arange(points) * 360 / points)
    radii = np.where(np.arange(points) % 2, inner, 1.0)
    return radii[:, None] * np.column_stack([-np.sin(angles), np.cos(angles)])


_TURN = np.array([[0, 1], [-1, 0]])  # of rows of corners, a quarter to the left
_TRIANGLE, _WIDE = np.array([(0, 1), (-1, -1), (1, -1)]), np.array([(-2, 0), (0, -1), (2, 0), (0, 1)])
_PLUS = np.array(
    [(1, 1), (1, 3), (-1, 3), (-1, 1), (-3, 1), (-3, -1), (-1, -1), (-1, -3), (1, -3), (1, -1), (3, -1), (3, 1)]
)
_HOURGLASS, _CORNER = np.array([(-1, 1), (1, 1), (-1, -1), (1, -1)]), np.array([(-1, 1), (1, 1), (1, -1)])
# Shapes by their names in plotly: corners, of any size.
_SHAPES: dict[str, NDArray[np.float64]] = {
    "circle": _ring(48),
    "square": _ring(4, turn=45),
    "triangle-up": _TRIANGLE,
    "diamond": _ring(4),
    "cross": _PLUS,
    "triangle-down": -_TRIANGLE,
    "x": _PLUS @ (_TURN + np.eye(2)),
    "pentagon": _ring(5),
    "triangle-left": _TRIANGLE @ _TURN,
    "star-diamond": _ring(8, inner=0.5),
    "triangle-right": -_TRIANGLE @ _TURN,
    "hexagon": _ring(6),
    "diamond-tall": _WIDE @ _TURN,
    "hexagram": _ring(12, inner=0.5),
    "octagon": _ring(8, turn=22.5),
    "star-square": _ring(8, inner=0.5, turn=45),
    "hexagon2": _ring(6, turn=30),
    "star-triangle-up": _ring(6, inner=0.3),
    "star-triangle-down": _ring(6, inner=0.3, turn=180),
    "hourglass": _HOURGLASS,
    "bowtie": _HOURGLASS @ _TURN,
    "diamond-wide": _WIDE,
    "star": _ring(10, inner=0.4),
    "triangle-ne": _CORNER,
    "triangle-sw": -_CORNER,
}
_SHIFT = 4  # of a searcher's colour: a pruner with its shape has another one
_DOT = 0.25 * _ring(15)
_SEARCHED = re.compile(r"(?:standard |solved )?nas \((\w+)\)")  # what people call what a searcher found


@dataclass(frozen=True)
class Look:
    """How a method is drawn.

    Attributes:
        light, dark: its colour on a light and on a dark page.
        symbol: its shape in plotly; a search's has a dot.
        rings: its outline, corners `(n, 2)` from -1 to 1; a search's has a hole, which turns the other way.
    """

    light: str
    dark: str
    symbol: str
    rings: tuple[NDArray[np.float64], ...]


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
    order = list(SEARCHERS) if is_search else [*PRUNERS, Weights.LADDER.value]
    at = order.index(name) if name in order else crc32(name.encode())
    colour = at + _SHIFT if is_search else at
    if method not in (name, f"nas ({name})"):
        at += 1 + crc32(method.encode()) % (len(_SHAPES) - 1)
    symbol, corners = list(_SHAPES.items())[at % len(_SHAPES)]
    rings = (outline := corners / np.abs(corners).max(),)
    if is_search:
        rings = (outline, _DOT[:: -_turn(outline)] + outline.mean(0))
    light, dark = _COLOURS[colour % len(_COLOURS)]
    return Look(light, dark, f"{symbol}-dot" if is_search else symbol, rings)


def _turn(corners: NDArray[np.float64]) -> int:
    """Return 1 for corners in a row to the left, as the dot's are, else -1."""
    (x, y), (right, up) = corners.T, np.roll(corners, -1, 0).T
    return 1 if np.sum(x * up - right * y) > 0 else -1


def glyph(look: Look, *, hollow: bool = False) -> str:
    """Return a method's marker as an SVG picture for a legend, in its colour of the page's scheme."""
    rings = (" ".join(f"{x:.1f},{y:.1f}" for x, y in ring * (8, -8)) for ring in look.rings)
    colours = f"--light:{look.light};--dark:{look.dark}"
    kind = "glyph hollow" if hollow else "glyph"
    drawn = f'<path d="{"".join(f"M{ring}Z" for ring in rings)}"/>'
    return f'<svg class="{kind}" viewBox="-9 -9 18 18" aria-hidden="true" style="{colours}">{drawn}</svg>'
