"""The front as a picture for a README or a paper."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..weights import Weights
from .drawing import INK, SOFT, Mark, axis_of_errors, draw_method, draw_yardstick, frame, plain, save
from .facts import Point, ReportFacts
from .looks import looks
from .parts import duration, number
from .stamp import stamp


def write_picture(path: Path, facts: ReportFacts) -> None:
    """Draw the report error of the front against the encoder's size and against measured latency, 1800 x 810 pixels.

    Only numbers of the report split and measured latencies are drawn, with the errors' 95 % intervals where the metric
    has such, around the whole model a band: a point that lacks one is left out.

    Args:
        path: a PNG file, replaced at once or left as it was.
        facts: the run.
    """
    figure = Figure(figsize=(10, 4.5), dpi=180, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, sharey=True)
    top = facts.yardstick.top(facts.full.model.error_report, [p.model.error_report for p in facts.front])
    everything = (_mark(facts, point, measured=False) for point in (facts.full, *facts.front))
    end = axis_of_errors(left, everything, top, facts.metric)
    _draw(left, facts, end, measured=False)
    _draw(right, facts, end, measured=True)
    left.set_xlabel("encoder parameters kept (%)", fontsize=11, color=INK)
    right.set_xlabel("measured latency (ms)", fontsize=11, color=INK)
    handles, labels = left.get_legend_handles_labels()
    look = {"fontsize": 8, "frameon": False, "labelcolor": INK}
    figure.legend(handles, labels, loc="outside lower center", ncols=2, **look)
    figure.suptitle(plain(facts.title), fontsize=12, color=INK, x=0.01, ha="left")
    save(figure, path, stamp(facts))


def _draw(axes: Axes, facts: ReportFacts, top: float, *, measured: bool) -> None:
    frame(axes)
    groups = {(p.method, p.model.weights): [] for p in facts.front}
    for point in facts.front:
        groups[point.method, point.model.weights].append(_mark(facts, point, measured=measured))
    whole = _mark(facts, facts.full, measured=measured)
    styles = looks([method for method, _ in groups])
    for (method, weights), marks in groups.items():
        draw_method(axes, marks, styles[method], top, plain(_label(facts, method, weights)))
    marks = [mark for of in groups.values() for mark in of]
    draw_yardstick(axes, facts.yardstick, marks, whole, top)
    if any(mark.is_known for mark in (whole, *marks)):
        axes.set_xlim(left=0)
    else:
        text = "not measured"
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=11, color=SOFT)


def _label(facts: ReportFacts, method: str, weights: Weights) -> str:
    """Name a method; of several approaches with what its own covers and took."""
    approach = next((a for a in facts.approaches if a.weights == weights), None)
    if approach is None or len(facts.approaches) < 2:
        return method
    name = method if method == weights.label else f"{method}, {weights.label}"
    return f"{name}: hypervolume {number(approach.hypervolume)}, {duration(approach.seconds)}"


def _mark(facts: ReportFacts, point: Point, *, measured: bool) -> Mark:
    model, low, high = point.model, point.model.latency_low_ms, point.model.latency_high_ms
    return Mark(
        x=_number(model.latency_ms) if measured else 100 * point.kept,
        y=_number(model.error_report),
        constant=facts.is_constant(point),
        y_ends=facts.yardstick.interval(model.error_report),
        x_ends=(low, high) if measured and low is not None and high is not None else None,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
