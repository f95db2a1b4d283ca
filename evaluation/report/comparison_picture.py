"""All methods as a picture: a panel for each layer, a legend below each with what its methods took."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..weights import Layer
from .comparison import NONZERO, Comparison, Entry
from .drawing import INK, Mark, axis_of_errors, draw_method, draw_yardstick, frame, plain, save
from .looks import Look, looks
from .stamp import stamp


def write_comparison_picture(path: Path, facts: Comparison) -> None:
    """Draw the report error against the share of the encoder that is kept, a panel for each layer that has points.

    Models with zeros are drawn hollow and dashed, over their share of non-zero weights. Bars are 95 % intervals, where
    the metric has such, and standard deviations of several seeds; the whole model's interval is a band. Legends are in
    the order of the hypervolume, the best first.

    Args:
        path: a PNG file, replaced at once or left as it was.
        facts: what is compared.
    """
    styles, panels = looks(facts.methods), max(1, len(facts.layers))
    rows = 3 + max((sum(s.layer == layer for s in facts.standings) for layer in facts.layers), default=0)
    figure = Figure(figsize=(5.6 * panels, 4.6 + 0.19 * (rows + 1)), dpi=140, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, sharex=True, sharey=True, squeeze=False)[0]
    wholes = (Entry.of([whole]) for layer, whole in facts.wholes.items() if layer in facts.layers)
    drawn = (_mark(facts, one) for one in (*facts.entries, *wholes))
    end = axis_of_errors(axes[0], drawn, facts.top, facts.metric)
    for one, layer in zip(axes, facts.layers, strict=False):
        _draw(one, facts, layer, styles, end)
    figure.suptitle(plain(facts.title), fontsize=13, color=INK, x=0.01, ha="left")
    save(figure, path, stamp(facts))


def _draw(axes: Axes, facts: Comparison, layer: Layer, styles: dict[str, Look], end: float) -> None:
    frame(axes, labels_inside=True)
    axes.set_title(plain(facts.layer_title(layer)), fontsize=12, color=INK, loc="left")
    entries = [e for e in facts.entries if e.layer == layer]
    whole = facts.wholes.get(layer)
    draw_yardstick(
        axes,
        facts.yardstick,
        [_mark(facts, e) for e in entries],
        None if whole is None else _mark(facts, Entry.of([whole])),
        end,
    )
    for standing in (s for s in facts.standings if s.layer == layer):
        mine = [_mark(facts, e) for e in entries if e.method == standing.method]
        draw_method(axes, mine, styles[standing.method], end, plain(str(standing)), hollow=standing.axis == NONZERO)
    nonzero = {e.axis == NONZERO for e in entries}
    kept = "non-zero weights kept (%)" if nonzero == {True} else "encoder parameters kept (%)"
    both = "; hollow: non-zero weights (%)" if nonzero == {True, False} else ""
    axes.set_xlabel(kept + both, fontsize=11, color=INK)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(0, -0.13),
        fontsize=9,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0,
        labelspacing=0.35,
        handlelength=2.6,
    )


def _mark(facts: Comparison, entry: Entry) -> Mark:
    """Return a method at a density, with the standard deviation of several seeds or the interval of one."""
    error, spread = entry.error_report, entry.deviation_report
    ends = facts.yardstick.interval(error) if entry.seeds == 1 else (error - spread, error + spread)
    return Mark(100 * entry.share, error, facts.is_constant(entry), ends)
