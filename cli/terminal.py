"""The front, drawn with the characters of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from rich.console import Console
from rich.text import Text
from uniplot import plot_to_string

from ..evaluation.evaluation import Evaluation
from ..evaluation.objectives import ERROR

LEAST_WIDTH, MOST_WIDTH = 60, 100
_HEIGHT = 14
_MARGIN = 12  # characters beside the points: frame and numbers
_MARKS, _COLOURS = "o^x#", ("cyan", "magenta", "green", "yellow")  # shapes too: colours are not for everyone
_DOT, _FAINT = ".", (128, 128, 128)


@dataclass(frozen=True)
class Cloud:
    """Points that are drawn alike.

    Attributes:
        title: in the legend; not there if empty.
        points: `(n, 2)` costs and errors, finite.
        faint: dots, rather than a shape of their own.
    """

    title: str
    points: Sequence[tuple[float, float]]
    faint: bool = False


def front_clouds(evaluations: Sequence[Evaluation], front: Sequence[Evaluation], cost: str) -> list[Cloud]:
    """Return what a drawing of a front shows: the front by whose weights its models have, over all else evaluated.

    Args:
        evaluations: everything, on the selection split.
        front: some of it.
        cost: the value that the error is drawn against; a model without it is left out.
    """

    def placed(rows: Sequence[Evaluation]) -> list[tuple[float, float]]:
        points = [(one.values.get(cost, np.nan), one.values[ERROR]) for one in rows]
        return [point for point in points if np.isfinite(point).all()]

    kinds = list(dict.fromkeys(one.weights for one in front))
    clouds = [Cloud("evaluated", placed([one for one in evaluations if one.weights in kinds]), faint=True)]
    for kind in kinds:
        title = "front" if len(kinds) == 1 else f"front, {kind} weights"
        clouds.append(Cloud(title, placed([one for one in front if one.weights == kind])))
    return clouds


def draw(clouds: Sequence[Cloud], x_name: str, y_name: str, console: Console) -> list[Text]:
    """Draw points as lines of text; nothing where it would be no use: no terminal, a narrow one, no two points.

    Args:
        clouds: the later ones over the earlier.
        x_name: what the cost is.
        y_name: what the error is.
        console: decides width and colours; one that knows ASCII only gets no drawing.
    """
    clouds = [cloud for cloud in clouds if cloud.points]
    points = {point for cloud in clouds for point in cloud.points}
    useful = console.is_terminal and console.width >= LEAST_WIDTH and not console.options.ascii_only
    if not useful or len(points) < 2:
        return []
    scale, unit = (1e6, " M") if max(cost for cost, _ in points) >= 1e6 else (1.0, "")
    looks = cycle(zip(_MARKS, _COLOURS, strict=True))
    marks, colours = zip(*((_DOT, _FAINT) if cloud.faint else next(looks) for cloud in clouds), strict=True)
    lines = plot_to_string(
        ys=[[error for _, error in cloud.points] for cloud in clouds],
        xs=[[cost / scale for cost, _ in cloud.points] for cloud in clouds],
        legend_labels=[cloud.title for cloud in clouds],
        character_set="ascii",
        force_ascii_characters=list(marks),
        color=list(colours) if console.color_system else False,
        width=min(console.width, MOST_WIDTH) - _MARGIN,
        height=_HEIGHT,
        x_min=0,
        x_unit=unit,
        title=f"{y_name}, over {x_name}",
    )
    return [Text.from_ansi(line) for line in lines.splitlines()]
