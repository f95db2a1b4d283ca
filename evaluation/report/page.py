"""The report as one self-contained HTML page: opened, it fetches nothing, and a policy in it forbids it to."""

from __future__ import annotations

import math
import shlex
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from .facts import Point, ReportFacts
from .parts import DASH, duration, embedded, error, finite, number, part, percent, replace_file, table

# Costs that the front can be drawn against, the first being the default: name, label, what is counted.
_AXES = (
    ("latency_ms", "Latency, predicted by the table", "ms"),
    ("latency_measured_ms", "Latency, measured end to end", "ms"),
    ("encoder_parameters", "Encoder parameters", "encoder parameters"),
    ("macs", "Multiply-accumulates of one text", "MACs"),
    ("parameters", "All parameters", "parameters"),
)
_NUMBERS = ("error_selection", "error_report", *(name for name, _, _ in _AXES), "latency_low_ms", "latency_high_ms")


def write_page(path: Path, facts: ReportFacts) -> None:
    """Write the report; a file of that name is replaced at once or stays as it was.

    The page takes `#axis=latency_ms&budget=12.5` or `#key=<a subnetwork's key>` after its address: budgets are in the
    objective's own unit, axes are `latency_ms`, `latency_measured_ms`, `encoder_parameters`, `macs` and `parameters`.

    Args:
        path: the HTML file, about 5 MB, most of it plotly.js.
        facts: what it says.
    """
    page = Template(part("page.html")).substitute(
        title=escape(facts.title),
        about=_about(facts),
        lede=_lede(facts),
        notes=_notes(facts),
        front=_front_table(facts),
        cost=_cost_tables(facts),
        environment=table(("", ""), [(escape(k), escape(v)) for k, v in facts.environment.items()], head=False),
        style=part("page.css"),
        script=part("page.js"),
        plotly=get_plotlyjs(),
        facts=_payload(facts),
    )
    replace_file(path, page)


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _measured(point: Point) -> str:
    middle, low, high = point.latency_measured_ms, point.latency_low_ms, point.latency_high_ms
    if DASH in (number(low), number(high)) or number(middle) == DASH:
        return number(middle)
    return f"{number(middle)} ({number(low)}{DASH}{number(high)})"


def _architecture(point: Point, full: Point) -> str:
    counts = {"layer": point.layers, "head": sum(point.heads), "neuron": sum(point.neurons)}
    text = ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    return text + (f", width {point.hidden}" if point.hidden != full.hidden else "")


def _payload(facts: ReportFacts) -> str:
    """Return the page's data as JSON that is safe inside a script element."""
    everything = (facts.full, *facts.points)
    axes: list[dict[str, Any]] = []
    for name, label, what in _AXES:
        known = [v for v in (finite(getattr(point, name)) for point in everything) if v is not None]
        if what == "ms":
            if known:
                axes.append({"name": name, "label": label, "unit": what, "amount": what, "divisor": 1})
            continue
        prefix = number(max(known, default=None)).partition(" ")[2]
        divisor = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[prefix]
        axes.append({"name": name, "label": label, "unit": prefix, "amount": f"{prefix} {what}", "divisor": divisor})
    data = {
        "axes": axes,
        "metric": facts.metric,
        "command": f"secateur extract {shlex.quote(facts.run)} --key",
        "approaches": [{"weights": one.weights, "title": one.title} for one in facts.approaches],
        "table_error": percent(facts.table_error),
        "full": _point(facts.full, several=len(facts.approaches) > 1),
        "points": [_point(point, several=len(facts.approaches) > 1) for point in facts.points],
    }
    return embedded(data)


def _point(point: Point, *, several: bool) -> dict[str, Any]:
    shown = {name: number(getattr(point, name)) for name, _, _ in _AXES}
    shown |= {name: error(getattr(point, name)) for name in ("error_selection", "error_report")}
    shown["latency_measured_ms"] = _measured(point)
    return {
        "key": point.name,
        "weights": point.weights,
        "extract": f"{point.key} --weights {point.weights}" if several else point.key,
        "method": point.method,
        "heads": point.heads,
        "neurons": point.neurons,
        "hidden": point.hidden,
        "on_front": point.on_front,
        "values": {name: finite(getattr(point, name)) for name in _NUMBERS},
        "shown": shown,
    }


def _about(facts: ReportFacts) -> str:
    rows = {
        "Task": facts.task,
        "Metric": facts.metric,
        "Model": facts.model,
        "Search space": facts.space,
        "Training strategy": facts.strategy,
        "Latency target": facts.target,
    }
    return "\n".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items())


def _lede(facts: ReportFacts) -> str:
    count, front = len(facts.points), len(facts.front)
    each = [f"{sum(p.weights == a.weights for p in facts.front)} of {a.title}" for a in facts.approaches]
    fronts = f"on their fronts are {' and '.join(each)}"
    where = fronts if len(each) > 1 else f"{front} {'is' if front == 1 else 'are'} on the front"
    return escape(
        f"{count:,} subnetwork{'' if count == 1 else 's'} of {facts.model} evaluated; "
        f"{where}. Move the budget to see the best one within it."
    )


def _notes(facts: ReportFacts) -> str:
    median = percent(facts.table_error)
    off = f"; on whole networks it was not fitted on, its median error is {median}" if median != DASH else ""
    notes = {
        "Which data:": escape(facts.splits),
        "The error": f"is 1 \N{MINUS SIGN} {escape(facts.metric)}. Picks are made on the selection error, and the best "
        "of many points looks a little better there than it is. The report error had no part in the choice: quote that "
        "one, and do not choose by it.",
        "Latency": f"belongs to {escape(facts.target)}. Evaluated points have a prediction from a table of measured "
        f"parts{off}. Measured latencies are medians of the extracted model's own runs, with quartiles in brackets.",
        "Encoder parameters": "are those of the layers; embeddings, pooler and head count in “all parameters” only. "
        "Multiply-accumulates are of one text at the target's length.",
    }
    return "\n".join(f"<p><b>{name}</b> {note}</p>" for name, note in notes.items())


def _front_table(facts: ReportFacts) -> str:
    head = (
        "Key",
        "Method",
        "Layers, heads and neurons kept",
        "Error, selection",
        "Error, report",
        "Encoder parameters",
        "Share of encoder",
        "Latency, predicted (ms)",
        "Latency, measured (ms)",
        "MACs",
        "All parameters",
    )
    rows = [_front_row(point, facts.full) for point in facts.front]
    if not rows:
        rows = [[f'<td colspan="{len(head)}">No subnetwork is on the front.</td>']]
    cells = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in head)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    full = "".join(_front_row(facts.full, facts.full, full=True))
    return f"<thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody>\n<tfoot><tr>{full}</tr></tfoot>"


def _front_row(point: Point, full_point: Point, *, full: bool = False) -> list[str]:
    key = escape(point.name)
    first = "Full model" if full else f'<a href="#key={key}"><code>{key}</code></a>'
    share = _share(point.encoder_parameters, full_point.encoder_parameters)
    sortable: list[tuple[str, float | None]] = [
        (error(point.error_selection), point.error_selection),
        (error(point.error_report), point.error_report),
        (number(point.encoder_parameters), point.encoder_parameters),
        (percent(share), share),
        (number(point.latency_ms), point.latency_ms),
        (_measured(point), point.latency_measured_ms),
        (number(point.macs), point.macs),
        (number(point.parameters), point.parameters),
    ]
    numbers = []
    for shown, value in sortable:
        exact = finite(value)
        numbers.append(f'<td class="number" data-value="{"" if exact is None else repr(exact)}">{shown}</td>')
    method = DASH if full else escape(point.method)
    keeps = f'<td class="keeps" data-value="{point.encoder_parameters!r}">{_architecture(point, full_point)}</td>'
    return [f'<th scope="row">{first}</th>', f"<td>{method}</td>", keeps, *numbers]


def _cost_tables(facts: ReportFacts) -> str:
    rows = [(escape(s.name), duration(s.seconds), escape(s.note)) for s in facts.stages]
    total = math.fsum(s.seconds for s in facts.stages if math.isfinite(s.seconds))
    rows.append(("<b>All stages</b>", f"<b>{duration(total)}</b>", ""))
    text = table(("Stage", "Took", ""), rows, numeric=1)
    if len(facts.approaches) > 1:
        compared = [(escape(a.title), number(a.hypervolume, 4), duration(a.seconds)) for a in facts.approaches]
        text += "\n" + table(("Front", "Hypervolume, larger is better", "Took"), compared)
    if facts.hypervolumes:
        ranked = sorted(facts.hypervolumes.items(), key=lambda item: item[1], reverse=True)
        volumes = [(escape(name), number(value, 4)) for name, value in ranked]
        text += "\n" + table(("Method", "Hypervolume, larger is better"), volumes, numeric=1)
    return text
