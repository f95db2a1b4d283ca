"""The report as one self-contained HTML page: opened, it fetches nothing, and a policy in it forbids it to."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from plotly.offline import get_plotlyjs

from .facts import Point, ReportFacts

DASH = "\N{EN DASH}"
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
    page = Template(_part("page.html")).substitute(
        title=escape(facts.title),
        about=_about(facts),
        lede=_lede(facts),
        notes=_notes(facts),
        front=_front_table(facts),
        cost=_cost_tables(facts),
        environment=_table(("", ""), [(escape(k), escape(v)) for k, v in facts.environment.items()], head=False),
        style=_part("page.css"),
        script=_part("page.js"),
        plotly=get_plotlyjs(),
        facts=_payload(facts),
    )
    _replace(path, page)


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with significant digits, a dash if it is not known; large ones with k, M or G.

    Example:
        >>> number(5_321_000.0), number(0.08256), number(None)
        ('5.32 M', '0.0826', '–')
    """
    if value is None or not math.isfinite(value):
        return DASH
    rounded = float(f"{value:.{digits - 1}e}")
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(rounded) >= size:
            return _fixed(rounded / size, digits) + unit
    return _fixed(rounded, digits)


def duration(seconds: float) -> str:
    """Write seconds for people: `8.2 s`, `3 min 05 s`, `2 h 10 min`; a dash if not known."""
    if not math.isfinite(seconds):
        return DASH
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _fixed(value: float, digits: int) -> str:
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def _error(value: float | None) -> str:
    return DASH if value is None or not math.isfinite(value) else f"{value:.4f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else DASH


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
        known = [v for v in (_finite(getattr(point, name)) for point in everything) if v is not None]
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
        "table_error": _percent(facts.table_error),
        "full": _point(facts.full, several=len(facts.approaches) > 1),
        "points": [_point(point, several=len(facts.approaches) > 1) for point in facts.points],
    }
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _point(point: Point, *, several: bool) -> dict[str, Any]:
    shown = {name: number(getattr(point, name)) for name, _, _ in _AXES}
    shown |= {name: _error(getattr(point, name)) for name in ("error_selection", "error_report")}
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
        "values": {name: _finite(getattr(point, name)) for name in _NUMBERS},
        "shown": shown,
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


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
    table = _percent(facts.table_error)
    off = f"; on whole networks it was not fitted on, its median error is {table}" if table != DASH else ""
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
        (_error(point.error_selection), point.error_selection),
        (_error(point.error_report), point.error_report),
        (number(point.encoder_parameters), point.encoder_parameters),
        (_percent(share), share),
        (number(point.latency_ms), point.latency_ms),
        (_measured(point), point.latency_measured_ms),
        (number(point.macs), point.macs),
        (number(point.parameters), point.parameters),
    ]
    numbers = []
    for shown, value in sortable:
        finite = _finite(value)
        numbers.append(f'<td class="number" data-value="{"" if finite is None else repr(finite)}">{shown}</td>')
    method = DASH if full else escape(point.method)
    keeps = f'<td class="keeps" data-value="{point.encoder_parameters!r}">{_architecture(point, full_point)}</td>'
    return [f'<th scope="row">{first}</th>', f"<td>{method}</td>", keeps, *numbers]


def _cost_tables(facts: ReportFacts) -> str:
    rows = [(escape(s.name), duration(s.seconds), escape(s.note)) for s in facts.stages]
    total = math.fsum(s.seconds for s in facts.stages if math.isfinite(s.seconds))
    rows.append(("<b>All stages</b>", f"<b>{duration(total)}</b>", ""))
    text = _table(("Stage", "Took", ""), rows, numeric=1)
    if len(facts.approaches) > 1:
        compared = [(escape(a.title), number(a.hypervolume, 4), duration(a.seconds)) for a in facts.approaches]
        text += "\n" + _table(("Front", "Hypervolume, larger is better", "Took"), compared)
    if facts.hypervolumes:
        ranked = sorted(facts.hypervolumes.items(), key=lambda item: item[1], reverse=True)
        volumes = [(escape(name), number(value, 4)) for name, value in ranked]
        text += "\n" + _table(("Method", "Hypervolume, larger is better"), volumes, numeric=1)
    return text


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], *, head: bool = True, numeric: int = -1) -> str:
    """Return a plain table; cells are HTML already, the column `numeric` is set in figures of equal width."""
    kind = [' class="number"' if i == numeric else "" for i in range(len(names))]
    lines = ["<table>"]
    if head:
        titles = (f'<th scope="col"{look}>{name}</th>' for name, look in zip(names, kind, strict=True))
        lines.append(f"<thead><tr>{''.join(titles)}</tr></thead>")
    lines.append("<tbody>")
    for first, *rest in rows:
        cells = (f"<td{look}>{cell}</td>" for cell, look in zip(rest, kind[1:], strict=True))
        lines.append(f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>')
    return "\n".join([*lines, "</tbody>", "</table>"])


def _part(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
