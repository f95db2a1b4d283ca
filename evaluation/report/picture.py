"""The front as a picture for a README or a paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .drawing import INK, SOFT, frame, plain, save
from .facts import Point, ReportFacts
from .parts import duration, number

_FULL = "#d55e00"
_LINES = ("-", "--")
_METHODS = (("#0072b2", "o"), ("#009e73", "s"), ("#aa4499", "^"), ("#8c6d00", "D"), ("#5a626c", "P"))


def write_picture(path: Path, facts: ReportFacts) -> None:
    """Draw the report error of the front against the encoder's size and against measured latency, 1800 x 720 pixels.

    Only numbers of the report split and measured latencies are drawn: a point that lacks one is left out.

    Args:
        path: a PNG file, replaced at once or left as it was.
        facts: the run.
    """
    figure = Figure(figsize=(10, 4), dpi=180, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    _draw(left, facts, lambda p: 100 * p.kept)
    _draw(right, facts, lambda p: p.latency_measured_ms, quartiles=True)
    left.set_xlabel("encoder parameters kept (%)", fontsize=11, color=INK)
    left.set_ylabel(f"error, report split (1 \N{MINUS SIGN} {plain(facts.metric)})", fontsize=11, color=INK)
    right.set_xlabel("measured latency (ms)", fontsize=11, color=INK)
    if len(facts.approaches) > 1:
        handles, labels = left.get_legend_handles_labels()
        look = {"fontsize": 10, "frameon": False, "labelcolor": INK}
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), **look)
    figure.suptitle(plain(facts.title), fontsize=12, color=INK, x=0.01, ha="left")
    save(figure, path)


def _draw(axes: Axes, facts: ReportFacts, cost: Callable[[Point], float | None], *, quartiles: bool = False) -> None:
    frame(axes)
    drawn = 0
    for i, (label, mine) in enumerate(_groups(facts)):
        colour, marker = _METHODS[i % len(_METHODS)]
        drawn += _mark(axes, mine, cost, colour, marker, size=5.5, label=label, quartiles=quartiles)
        if len(facts.approaches) > 1:
            _join(axes, mine, cost, colour, _LINES[i % len(_LINES)])
    error = _number(facts.full.error_report)
    if math.isfinite(error):
        axes.axhline(error, color=_FULL, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    drawn += _mark(axes, [facts.full], cost, _FULL, "*", size=14, label="full model", quartiles=quartiles)
    if not drawn:
        text = "not measured"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=SOFT)
        return
    axes.set_xlim(left=0)
    if not quartiles and len(facts.approaches) < 2:
        axes.legend(fontsize=10, frameon=False, labelcolor=INK, loc="upper right")


def _groups(facts: ReportFacts) -> list[tuple[str, list[Point]]]:
    """Return the front's points with what the legend calls them: by approach if there are several, else by method."""
    if len(facts.approaches) > 1:
        return [
            (
                f"{plain(a.title)}: hypervolume {number(a.hypervolume)}, {duration(a.seconds)}",
                [p for p in facts.front if p.weights == a.weights],
            )
            for a in facts.approaches
        ]
    methods = sorted({p.method for p in facts.front})
    labels = [f"front, {plain(method)}" if len(methods) > 1 else "front" for method in methods]
    return [(label, [p for p in facts.front if p.method == m]) for label, m in zip(labels, methods, strict=True)]


def _join(axes: Axes, points: Sequence[Point], cost: Callable[[Point], float | None], colour: str, line: str) -> None:
    """Join the points of one approach, the cheapest first."""
    xy = sorted((_number(cost(p)), _number(p.error_report)) for p in points)
    axes.plot([x for x, _ in xy], [y for _, y in xy], line, color=colour, linewidth=1, alpha=0.7, zorder=2)


def _mark(
    axes: Axes,
    points: Sequence[Point],
    cost: Callable[[Point], float | None],
    colour: str,
    marker: str,
    *,
    size: float,
    label: str,
    quartiles: bool,
) -> int:
    """Draw the points that have both numbers; returns how many."""
    xy = [(_number(cost(p)), _number(p.error_report), p) for p in points]
    xy = [(x, y, p) for x, y, p in xy if math.isfinite(x) and math.isfinite(y)]
    if not xy:
        return 0
    if quartiles:
        for _, y, p in xy:
            ends = [_number(p.latency_low_ms), _number(p.latency_high_ms)]
            axes.plot(ends, [y, y], color=colour, linewidth=1.3, alpha=0.6)  # nothing is drawn between NaN
    x, y = [x for x, _, _ in xy], [y for _, y, _ in xy]
    axes.plot(
        x, y, marker, color=colour, markersize=size, markeredgecolor="white", markeredgewidth=0.6, zorder=3, label=label
    )
    return len(xy)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
