"""All methods as one self-contained HTML page."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from .comparison import LAYERS, NONZERO, ComparedPoint, Comparison, Entry, Winner
from .looks import Look, looks
from .parts import DASH, duration, embedded, error, finite, number, part, percent, replace_file, table

_NAMES = ("Method", "Density", "Kept", "Error, selection", "Error, report", "Latency (ms)", "Took", "Labels")


def write_comparison_page(path: Path, facts: Comparison) -> None:
    """Write the page; a file of that name is replaced at once or stays as it was.

    Args:
        path: the HTML file, about 5 MB, most of it plotly.js.
        facts: what it says.
    """
    page = Template(part("comparison.html")).substitute(
        title=escape(facts.title),
        lede=escape(_lede(facts)),
        winners=_winners(facts),
        layers="\n".join(_section(facts, layer) for layer in facts.layers),
        notes=_notes(facts),
        about="\n".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in _about(facts).items()),
        style=part("page.css"),
        script=part("comparison.js"),
        plotly=get_plotlyjs(),
        facts=_payload(facts),
    )
    replace_file(path, page)


def row(entry: Entry) -> tuple[str, ...]:
    """Write an entry for people: method, density, share, errors, latency, time, labels."""
    several = entry.seeds > 1
    both = (entry.error_selection, entry.deviation_selection), (entry.error_report, entry.deviation_report)
    return (
        f"{entry.method}{f', {entry.seeds} seeds' if several else ''}",
        f"{entry.density:g}",
        f"{percent(entry.share)}{' non-zero' if entry.axis == NONZERO else ''}",
        *(f"{error(mean)}{f' ± {spread:.4f}' if several else ''}" for mean, spread in both),
        number(entry.latency_ms),
        duration(entry.seconds),
        f"{entry.labels:,}",
    )


def budget(one: Winner) -> str:
    """Write a budget for people."""
    return f"{100 * one.budget:g} %{' non-zero' if one.axis == NONZERO else ''}"


def _lede(facts: Comparison) -> str:
    count = len(facts.points)
    return (
        f"{count} model{'' if count == 1 else 's'} of {facts.model} by {len(facts.methods)} "
        f"method{'' if len(facts.methods) == 1 else 's'}, in layers by how much training followed the cut. Layers are "
        "never mixed: an error of one says nothing about a method of another."
    )


def _about(facts: Comparison) -> dict[str, str]:
    return {"Task": facts.task, "Metric": facts.metric, "Model": facts.model, **facts.facts}


def _notes(facts: Comparison) -> str:
    notes = {
        "The error": f"is 1 \N{MINUS SIGN} {facts.metric}. Who is ahead is decided on the selection error; the report "
        "error had no part in any choice: quote that one.",
        "Kept": "is the share of the encoder's parameters, whatever the budget was asked in. A model with zeros is as "
        "large and as slow as the whole one: its share is of non-zero weights, it is drawn hollow, without latency.",
        "A search": "is shown by its best model within each budget, and took what training the supernet and searching "
        "took, however many models are wanted of it; a pruner is run for each.",
        "Hypervolume": "is the share that a method's models cover of the box from no error and nothing kept to the "
        f"best constant answer's error ({facts.worst_error:.3f}) and the whole network, on the selection split: one "
        "box for all.",
        "Took": "leaves out fine-tuning, which all begin with. Labels are those of the texts that a method looked at.",
    }
    return "\n".join(f"<p><b>{name}</b> {escape(note)}</p>" for name, note in notes.items())


def _winners(facts: Comparison) -> str:
    names = ("Layer", "Budget", "Method", "Kept", "Error, selection", "Error, report", "Latency (ms)")
    rows = []
    for one in facts.winners:
        method, _, share, selection, report, latency, *_ = map(escape, row(one.entry))
        title = escape(facts.layer_title(one.layer))
        rows.append((title, budget(one), method, share, selection, report, latency))
    return table(names, rows)


def _section(facts: Comparison, layer: str) -> str:
    """Return a layer's chart and tables."""
    title = escape(facts.layer_title(layer))
    title = title[0].upper() + title[1:]
    whole = facts.wholes.get(layer)
    entries = ([Entry.of([whole])] if whole is not None else []) + [e for e in facts.entries if e.layer == layer]
    standings = [
        (
            escape(f"{s.method}{' (non-zero weights)' if s.axis == NONZERO else ''}"),
            f"{s.hypervolume:.4f}",
            duration(s.seconds),
            f"{s.labels:,}",
        )
        for s in facts.standings
        if s.layer == layer
    ]
    return f"""
<section aria-labelledby="{layer}-title">
<h2 id="{layer}-title">{title}</h2>
<figure class="card"><div id="chart-{layer}" class="layer" role="img"
  aria-label="Report error against what is kept, {title}. The tables below have the numbers."></div></figure>
<h3>Methods</h3>
<div class="scroll card" tabindex="0" role="region" aria-label="Methods, {title}">
{table(("Method", "Hypervolume, larger is better", "All took", "Labels"), standings)}
</div>
<h3>Models</h3>
<div class="scroll card" tabindex="0" role="region" aria-label="Models, {title}">
{table(_NAMES, [tuple(map(escape, row(entry))) for entry in entries])}
</div>
</section>"""


def _payload(facts: Comparison) -> str:
    styles = looks(facts.methods)
    layers = []
    for layer in facts.layers:
        whole = facts.wholes.get(layer)
        traces = [_whole(whole)] if whole is not None else []
        mine = [e for e in facts.entries if e.layer == layer]
        for standing in (s for s in facts.standings if s.layer == layer):
            entries = sorted((e for e in mine if e.method == standing.method), key=lambda e: e.share)
            traces.append(_trace(facts, str(standing), entries, styles[standing.method]))
        axes = {e.axis for e in mine}
        axis = "Non-zero weights kept (%)" if axes == {NONZERO} else "Encoder parameters kept (%)"
        axis += "; hollow: non-zero weights (%)" if len(axes) > 1 else ""
        level = None if whole is None else finite(whole.error_report)
        layers.append({"name": layer, "traces": traces, "axis": axis, "whole": level})
    return embedded({"error": f"Error, report split (1 \N{MINUS SIGN} {facts.metric})", "layers": layers})


def _trace(facts: Comparison, name: str, entries: list[Entry], look: Look) -> dict[str, Any]:
    return {
        "name": escape(name),
        "x": [100 * e.share for e in entries],
        "y": [finite(e.error_report) for e in entries],
        "deviation": [e.deviation_report for e in entries],
        "text": [_hover(facts, e) for e in entries],
        "look": asdict(look),
        "hollow": entries[0].axis == NONZERO,
        "whole": False,
    }


def _whole(point: ComparedPoint) -> dict[str, Any]:
    latency = "" if point.latency_ms is None else f"<br>latency {number(point.latency_ms)} ms"
    text = f"<b>whole model</b><br>error {error(point.error_selection)} selection, {error(point.error_report)} report"
    one = {"x": [100], "y": [finite(point.error_report)], "deviation": [0], "text": [text + latency]}
    return {"name": "whole model", **one, "look": None, "hollow": False, "whole": True}


def _hover(facts: Comparison, entry: Entry) -> str:
    """Say all about an entry, its models' keys included."""
    name, density, kept, selection, report, latency, took, labels = map(escape, row(entry))
    same = ("method", "layer", "axis", "density")
    keys = [p.key for p in facts.points if all(getattr(p, n) == getattr(entry, n) for n in same)]
    return "<br>".join(
        [
            f"<b>{name}</b>  {escape(LAYERS[entry.layer])}",
            f"density {density}, kept {kept}",
            f"error {selection} selection, {report} report",
            f"latency {latency} ms" if latency != DASH else "as slow as the whole model",
            f"took {took}, {labels} labels",
            *keys[:5],
        ]
    )
