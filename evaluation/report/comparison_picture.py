"""All methods as a picture: a panel for each layer, a legend below each with what its methods took."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .comparison import NONZERO, Comparison, Entry
from .drawing import INK, frame, plain, save
from .looks import Look, looks


def write_comparison_picture(path: Path, facts: Comparison) -> None:
    """Draw the report error against the share of the encoder that is kept, a panel for each layer that has points.

    Models with zeros are drawn hollow and dashed, over their share of non-zero weights. Legends are in the order of the
    hypervolume, the best first.

    Args:
        path: a PNG file, replaced at once or left as it was.
        facts: what is compared.
    """
    styles, panels = looks(facts.methods), max(1, len(facts.layers))
    rows = max((sum(s.layer == layer for s in facts.standings) for layer in facts.layers), default=0)
    figure = Figure(figsize=(5.6 * panels, 4.6 + 0.19 * (rows + 1)), dpi=140, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, sharex=True, sharey=True, squeeze=False)[0]
    for one, layer in zip(axes, facts.layers, strict=False):
        _draw(one, facts, layer, styles)
    axes[0].set_ylabel(f"error, report split (1 \N{MINUS SIGN} {plain(facts.metric)})", fontsize=11, color=INK)
    figure.suptitle(plain(facts.title), fontsize=13, color=INK, x=0.01, ha="left")
    save(figure, path)


def _draw(axes: Axes, facts: Comparison, layer: str, styles: dict[str, Look]) -> None:
    frame(axes, labels_inside=True)
    axes.set_title(plain(facts.layer_title(layer)), fontsize=12, color=INK, loc="left")
    entries = [e for e in facts.entries if e.layer == layer]
    if (whole := facts.wholes.get(layer)) is not None:
        axes.axhline(whole.error_report, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.plot([100], [whole.error_report], "*", color=INK, markersize=13, label="whole model", zorder=4)
    for standing in (s for s in facts.standings if s.layer == layer):
        mine = sorted((e for e in entries if e.method == standing.method), key=lambda e: e.share)
        _line(axes, mine, styles[standing.method], plain(str(standing)))
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


def _line(axes: Axes, entries: list[Entry], look: Look, label: str) -> None:
    """Draw a method: a marker for each density, joined, with standard deviations where there are several seeds."""
    hollow = entries[0].axis == NONZERO
    x, y = [100 * e.share for e in entries], [e.error_report for e in entries]
    if any(e.deviation_report for e in entries):
        bars = {"color": look.light, "linewidth": 1, "alpha": 0.5, "zorder": 2}
        axes.vlines(x, *zip(*_ends(entries), strict=True), **bars)
    axes.plot(
        x,
        y,
        linestyle="--" if hollow else "-",
        linewidth=1,
        color=look.light,
        marker=look.marker,
        markersize=8,
        markerfacecolor="white" if hollow else look.light,
        markeredgecolor=look.light if hollow else "white",
        markeredgewidth=1.4 if hollow else 0.6,
        zorder=3,
        label=label,
    )


def _ends(entries: list[Entry]) -> list[tuple[float, float]]:
    return [(e.error_report - e.deviation_report, e.error_report + e.deviation_report) for e in entries]
