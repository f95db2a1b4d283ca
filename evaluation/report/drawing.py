"""What pictures on paper share: their ink, their axes, and how they reach the disk."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...files import replace_file

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


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file, replaced at once or left as it was."""
    with replace_file(path) as part:
        figure.savefig(part, format="png", facecolor="white")


def plain(text: str) -> str:
    """Keep matplotlib from reading mathematics between dollar signs."""
    return text.replace("$", r"\$")
