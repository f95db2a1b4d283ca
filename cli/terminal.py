"""The front, drawn with the characters of a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

from rich.console import Console
from rich.text import Text
from uniplot import plot_to_string

from ..run.choice.front import Cloud

LEAST_WIDTH, MOST_WIDTH = 60, 100
_HEIGHT = 14
_MARGIN = 12  # characters beside the points: frame and numbers
_MARKS, _COLOURS = "o^x#", ("cyan", "magenta", "green", "yellow")  # shapes too: colours are not for everyone
_DOT, _FAINT = ".", (128, 128, 128)


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
