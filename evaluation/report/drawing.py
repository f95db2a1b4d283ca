"""What pictures on paper share: their ink, their axes, and how they reach the disk."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path as Outline

from ...files import replace_file
from .looks import Look
from .yardstick import CONSTANT, Yardstick

_ARROW = r"$\uparrow$"
INK, SOFT, LINE = "#1b1e22", "#5a626c", "#e3e6ea"


def frame(axes: Axes, *, labels_inside: bool = False) -> None:
    """Draw a light grid behind the points, and axes on the left and below only.

    Args:
        axes: what is drawn on.
        labels_inside: write the numbers beside axes that are shared with a neighbour, too.
    """
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10, colors=INK, color=SOFT)
    if labels_inside:
        axes.tick_params(labelleft=True, labelbottom=True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(SOFT)


@dataclass(frozen=True)
class Mark:
    """A model in a picture: its cost, its error and, where there are such, what lies around them."""

    x: float
    y: float
    constant: bool
    """It is no better than a constant answer."""
    y_ends: tuple[float, float] | None = None
    x_ends: tuple[float, float] | None = None

    @property
    def is_known(self) -> bool:
        """It has both numbers."""
        return math.isfinite(self.x) and math.isfinite(self.y)


def draw_method(axes: Axes, marks: Iterable[Mark], look: Look, top: float, label: str, *, hollow: bool = False) -> None:
    """Draw a method's models, joined by a line; what is above the top is an arrow there.

    Args:
        axes: what is drawn on.
        marks: models, those that lack a number are left out.
        look: colour and marker.
        top: end of the axis of errors.
        label: for the legend.
        hollow: the models have zeros.
    """
    known = sorted((m for m in marks if m.is_known), key=lambda m: m.x)
    style = {"marker": _marker(look), "markersize": 8, "zorder": 3, "markeredgewidth": 1.4 if hollow else 0.6}
    line = {"linestyle": "--" if hollow else "-", "color": look.light, "linewidth": 1}
    axes.plot([m.x for m in known], [m.y for m in known], alpha=0.7, **line)
    axes.plot([], [], label=label, **line, **_fill(look.light, hollow), **style)
    for mark in known:
        colour = SOFT if mark.constant else look.light
        for draw, at, ends in ((axes.vlines, mark.x, mark.y_ends), (axes.hlines, mark.y, mark.x_ends)):
            if ends is not None:
                draw(at, *ends, color=colour, linewidth=1, alpha=0.5, zorder=2)
        if mark.y > top:
            axes.plot(mark.x, top, marker=_ARROW, color=colour, markersize=10, clip_on=False, zorder=4)
        else:
            axes.plot(mark.x, mark.y, **_fill(colour, hollow), **style)


def _marker(look: Look) -> Outline:
    closed = (Outline(np.vstack([ring, ring[:1]]), closed=True) for ring in look.rings)
    return Outline.make_compound_path(*closed)


def _fill(colour: str, hollow: bool) -> dict[str, str]:
    return {"markerfacecolor": "white" if hollow else colour, "markeredgecolor": colour if hollow else "white"}


def draw_yardstick(axes: Axes, yardstick: Yardstick, marks: Iterable[Mark], whole: Mark | None, top: float) -> None:
    """Draw the whole model and the constant answer, and say what is drawn how."""
    known = [m for m in marks if m.is_known]
    if whole is not None and math.isfinite(whole.y):
        axes.axhline(whole.y, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        if whole.y_ends is not None:
            axes.axhspan(*whole.y_ends, color=LINE, alpha=0.6, linewidth=0, zorder=0)
        if whole.is_known:
            axes.plot(whole.x, whole.y, "*", color=INK, markersize=13, label="whole model", linestyle="", zorder=4)
            known.append(whole)
    if yardstick.constant_report <= top:
        line = {"color": SOFT, "linewidth": 1, "linestyle": "-."}
        axes.axhline(yardstick.constant_report, label="constant answer", zorder=1, **line)
    if any(m.constant for m in known):
        axes.plot([], [], "o", color=SOFT, label=CONSTANT, markersize=6)
    if any(m.y > top for m in known):
        axes.plot([], [], marker=_ARROW, color=INK, linestyle="", label="error above the picture", markersize=9)


def axis_of_errors(axes: Axes, marks: Iterable[Mark], top: float, metric: str) -> float:
    """Label the axis of errors and end it where the intervals of what is drawn end: a cut one looks like an open one.

    Args:
        axes: the first of those that share the axis.
        marks: models of all of these, the whole ones too, with or without a place on the other axis.
        top: up to which models are wanted.
        metric: the task's.

    Returns:
        Its upper end, at which what lies above is an arrow.
    """
    axes.set_ylabel(
        "\n".join(wrap(f"error, report split (1 \N{MINUS SIGN} {plain(metric)})", 40)), fontsize=11, color=INK
    )
    edges = [edge for mark in marks if mark.y <= top for edge in mark.y_ends or (mark.y,)]
    low, high = min(edges, default=0.0), max((top, *edges))
    axes.set_ylim(low - 0.08 * (high - low or 0.1), end := high + 0.03 * (high - low or 0.1))
    return end


def save(figure: Figure, path: Path, stamp: str) -> None:
    """Write a PNG file that bears a stamp, replaced at once or left as it was."""
    with replace_file(path) as part:
        figure.savefig(part, format="png", facecolor="white", metadata={"Comment": stamp})


def plain(text: str) -> str:
    """Keep matplotlib from reading mathematics between dollar signs."""
    return text.replace("$", r"\$")
