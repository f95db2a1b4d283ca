"""The page's tables of methods, models and costs."""

from __future__ import annotations

import math
from html import escape

from ..model import Model
from ..weights import Layer
from .comparison import NONZERO
from .facts import Point, ReportFacts, StageCost
from .looks import Look, glyph, looks
from .parts import DASH, duration, error, finite, number, small, table
from .payload import kept, measured, quoted
from .yardstick import CONSTANT

_MODELS = (
    "Key",
    "Method",
    "Layers, heads and neurons kept",
    "Error, selection",
    "Error, report",
    "Weights kept",
    "Latency, predicted (ms)",
    "Latency, measured (ms)",
    "MACs",
    "All parameters",
)


def models_table(facts: ReportFacts) -> str:
    """Return all models that were scored on the report split, a body for each layer, its whole model first."""
    cells = "".join(f'<th scope="col"><button type="button">{name}</button></th>' for name in _MODELS)
    bodies = []
    for layer, title in facts.layers.items():
        mine = [p for p in facts.reported if p.layer == layer]
        whole = facts.whole(layer)
        rows = [f'<tr class="whole">{"".join(_model(facts, whole, whole, full=True))}</tr>']
        rows += _constant(facts)
        rows += [f"<tr>{''.join(_model(facts, point, whole))}</tr>" for point in mine]
        if not mine:
            rows.append(f'<tr><td colspan="{len(_MODELS)}">No model was scored on the report split.</td></tr>')
        group = f'<tr class="layer"><th scope="rowgroup" colspan="{len(_MODELS)}">{escape(_first(title))}</th></tr>'
        lines = [group, *rows] if len(facts.layers) > 1 else rows
        bodies.append(f'<tbody data-layer="{layer}">\n' + "\n".join(lines) + "\n</tbody>")
    return f"<thead><tr>{cells}</tr></thead>\n" + "\n".join(bodies)


def _first(text: str) -> str:
    return text[:1].upper() + text[1:]


def architecture(model: Model, full: Model) -> str:
    """Write what a model keeps, in words."""
    counts = {"layer": model.layers, "head": sum(model.heads), "neuron": sum(model.neurons)}
    text = ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for what, count in counts.items())
    text += f", width {model.hidden}" if model.hidden != full.hidden else ""
    return text + ("" if model.tokens is None else f", {model.tokens:,} tokens")


def _constant(facts: ReportFacts) -> list[str]:
    """Return the row of the best constant answer, if its errors are known."""
    errors = (facts.yardstick.constant, facts.yardstick.constant_report)
    if not all(map(math.isfinite, errors)):
        return []
    cells = "".join(f'<td class="number">{error(value)}</td>' for value in errors)
    none = "<td></td>" * (len(_MODELS) - 5)
    return [f'<tr class="constant"><th scope="row">Constant answer</th><td></td><td>no model</td>{cells}{none}</tr>']


def _model(facts: ReportFacts, point: Point, whole: Point, *, full: bool = False) -> list[str]:
    model, name = point.model, escape(point.name)
    first = "Whole model" if full else f'<a href="#key={name}"><code>{escape(model.key)}</code></a>'
    sortable: list[tuple[str, float | None]] = [
        (error(model.error_selection), model.error_selection),
        (small(quoted(facts, model.error_report)), model.error_report),
        (kept(point), point.kept),
        (number(model.latency_predicted_ms), model.latency_predicted_ms),
        (small(measured(model)), model.latency_ms),
        (number(model.macs), model.macs),
        (number(model.parameters), model.parameters),
    ]
    numbers = []
    for shown, value in sortable:
        exact = finite(value)
        numbers.append(f'<td class="number" data-value="{"" if exact is None else repr(exact)}">{shown}</td>')
    density = "" if model.density is None else f" at {model.density:g}"
    method = DASH if full else escape(f"{point.method}{density}")
    method += f"<small>{CONSTANT}</small>" if facts.is_constant(point) else ""
    keeps = f'<td class="keeps" data-value="{point.kept!r}">{architecture(model, whole.model)}</td>'
    row = "" if full else f' data-name="{name}"'
    return [f'<th scope="row"{row}>{first}</th>', f'<td class="method">{method}</td>', keeps, *numbers]


def methods_table(facts: ReportFacts) -> str:
    """Return the legend: how each method of each layer is drawn, what it covers and what it took."""
    styles = looks(facts.methods)
    rows = []
    for layer in facts.layers:
        counts: dict[str, set[str]] = {}
        for point in facts.points:
            if point.layer == layer:
                counts.setdefault(point.method, set()).add(point.name)
        rows += [_method(facts, layer, name, len(models), styles[name]) for name, models in counts.items()]
    names = ["Method", "Models"]
    names += ["Hypervolume at equal budgets", "All took", "Labels"] if facts.comparison is not None else []
    cells = "".join(f'<th scope="col"{_NUMBER if i else ""}>{name}</th>' for i, name in enumerate(names))
    body = "\n".join(rows)
    return f'<table id="methods"><thead><tr>{cells}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'


_NUMBER = ' class="number"'


def _method(facts: ReportFacts, layer: Layer, name: str, models: int, look: Look) -> str:
    found = facts.comparison.standings if facts.comparison is not None else ()
    standing = next((s for s in found if (s.method, s.layer) == (name, layer)), None)
    hollow = standing is not None and standing.axis == NONZERO
    numbers = [f"{models:,}"]
    if facts.comparison is not None:
        known = standing is not None
        numbers.append(f"{standing.hypervolume:.4f}" if known else DASH)
        numbers.append(duration(standing.seconds) if known else DASH)
        numbers.append(f"{standing.labels:,}" if known else DASH)
    label = (
        f'<label><input type="checkbox" checked value="{escape(name)}"> {glyph(look, hollow=hollow)} '
        f"{escape(name)}{' (non-zero weights)' if hollow else ''}</label>"
    )
    cells = "".join(f"<td{_NUMBER}>{one}</td>" for one in numbers)
    return f'<tr data-layer="{layer}"><th scope="row">{label}</th>{cells}</tr>'


def cost_tables(facts: ReportFacts) -> str:
    """Return what the stages took, and what came of it: hypervolumes of approaches and searchers."""
    total = math.fsum(s.seconds for s in facts.stages if math.isfinite(s.seconds))
    rows = [(escape(s.name), duration(s.seconds), _bar(s, total) + escape(s.note)) for s in facts.stages]
    rows.append(("<b>Together</b>", f"<b>{duration(total)}</b>", ""))
    text = table(("Stage", "Took", "Share of the time, and what it was spent on"), rows, numeric=1)
    if len(facts.approaches) > 1:
        compared = [(escape(a.weights.label), number(a.hypervolume, 4), duration(a.seconds)) for a in facts.approaches]
        text += "\n" + table(("Front", "Hypervolume, larger is better", "Took"), compared)
    return text


def hypervolumes_table(facts: ReportFacts) -> str:
    """Return the searchers' hypervolumes, the largest first."""
    ranked = sorted(facts.hypervolumes.items(), key=lambda item: item[1], reverse=True)
    glyphs = {name: f"{glyph(look)} " for name, look in looks(facts.methods).items()}
    volumes = [(f"{glyphs.get(name, '')}{escape(name)}", number(value, 4)) for name, value in ranked]
    return table(("Searcher", "Hypervolume, larger is better"), volumes, numeric=1)


def _bar(stage: StageCost, total: float) -> str:
    share = stage.seconds / total if total and math.isfinite(stage.seconds) else 0.0
    return f'<i class="share"><b style="width:{100 * share:.1f}%"></b></i>'
