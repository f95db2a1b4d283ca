"""The report as one self-contained HTML page: opened, it fetches nothing, and a policy in it forbids it to."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from string import Template

from plotly.offline import get_plotlyjs

from ...files import replace_text
from .comparison_tables import comparison_notes, comparison_section
from .facts import ReportFacts
from .parts import DASH, error, part, percent, table
from .payload import payload
from .tables import cost_tables, hypervolumes_table, methods_table, models_table
from .yardstick import CONSTANT

_SCRIPTS = ("state.js", "chart.js", "architecture.js", "panel.js", "plots.js", "page.js")


def write_page(path: Path, facts: ReportFacts) -> None:
    """Write the report; a file of that name is replaced at once or stays as it was.

    The page takes `#axis=latency_ms&latency_ms=12.5&disk_mb=40` after its address, the cost to draw and budgets in the
    objectives' own units, or `#key=<a model's name>`; `layer=recovered` and `error=error_report` show others of them.

    Args:
        path: the HTML file, about 5 MB, most of it plotly.js.
        facts: what it says.
    """
    page = Template(part("page.html")).substitute(
        title=escape(facts.title),
        about=_about(facts),
        lede=_lede(facts),
        warning=_warning(facts),
        notes=_notes(facts),
        layers=_layers(facts),
        errors=_errors(facts),
        methods=methods_table(facts),
        models=models_table(facts),
        comparison="" if facts.comparison is None else comparison_section(facts.comparison),
        hypervolumes=hypervolumes_table(facts) if facts.hypervolumes else "",
        latency=_latency(facts),
        cost=cost_tables(facts),
        environment=table(("", ""), [(escape(k), escape(v)) for k, v in facts.environment.items()], head=False),
        style=part("page.css"),
        script="\n".join(part(name) for name in _SCRIPTS),
        plotly=get_plotlyjs(),
        facts=payload(facts),
    )
    replace_text(path, page)


def _about(facts: ReportFacts) -> str:
    rows = {
        "Task": facts.task,
        "Metric": facts.metric,
        "Model": facts.model,
        "Search space": facts.space,
        "Training strategy": facts.strategy,
        "Latency target": facts.target,
    }
    rows |= {} if facts.comparison is None else facts.comparison.facts
    return "\n".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in rows.items() if value)


def _layers(facts: ReportFacts) -> str:
    """Return the choice between layers; nothing to choose where there is one."""
    if len(facts.layers) < 2:
        return ""
    choices = "\n".join(
        f'<label><input type="radio" name="layer" value="{name}"> {escape(title)}</label>'
        for name, title in facts.layers.items()
    )
    return f'<fieldset class="layers"><legend>Training after the cut</legend>\n{choices}\n</fieldset>'


def _errors(facts: ReportFacts) -> str:
    """Return the choice between errors."""
    names = {
        "error_selection": "the selection split (chosen on)",
        "error_report": "the report split (to quote)",
        "error_int8": "the report split, in int8 (as served)",
    }
    if all(point.model.error_int8 is None for point in facts.points):
        del names["error_int8"]
    return "\n".join(f'<option value="{name}">{title}</option>' for name, title in names.items())


def _lede(facts: ReportFacts) -> str:
    models, front = len({p.name for p in facts.points}), len(facts.front)
    methods = f" by {len(facts.methods)} methods" if len(facts.methods) > 1 else ""
    each = [f"{sum(p.model.weights == a.weights for p in facts.front)} of {a.weights.label}" for a in facts.approaches]
    fronts = f"on their fronts are {' and '.join(each)}"
    where = fronts if len(each) > 1 else f"{front} {'is' if front == 1 else 'are'} on the front of the search"
    constant = len({p.name for p in facts.points if facts.is_constant(p)})
    where += f"; {constant:,} {'is' if constant == 1 else 'are'} {CONSTANT}" if constant else ""
    return escape(
        f"{models:,} model{'' if models == 1 else 's'} cut out of {facts.model}{methods}; "
        f"{where}. Move a budget to see the best one within it."
    )


def _warning(facts: ReportFacts) -> str:
    """Return what must be known before anything else: that nothing was learnt."""
    if not facts.is_constant(facts.full):
        return ""
    mine, constant = error(facts.full.model.error_selection), error(facts.yardstick.constant)
    return (
        f'<p class="warning" id="learnt"><b>Nothing was learnt.</b> The whole model is {CONSTANT}: on the selection '
        f"split its error is {mine}, that answer's {constant}. What follows compares models that know nothing.</p>"
    )


def _notes(facts: ReportFacts) -> str:
    median = percent(facts.table_error)
    off = f"; on whole networks it was not fitted on, its median error is {median}" if median != DASH else ""
    notes = {
        "Which data:": facts.splits,
        "The error": f"is 1 \N{MINUS SIGN} {facts.metric}. Picks are made on the selection error, and the best of many "
        "points looks a little better there than it is. The report error had no part in the choice: quote that one, "
        "and do not choose by it.",
        "Intervals": _intervals(facts),
        "Latency": f"belongs to {facts.target}. Evaluated points have a prediction from a table of measured "
        f"parts{off}. Measured latencies are medians of the extracted model's own runs, with quartiles in brackets.",
        "Encoder parameters": "are those of the layers; embeddings, pooler and head count in “all parameters” only. "
        "Multiply-accumulates are of one text at the target's length.",
    }
    if math.isfinite(facts.yardstick.constant):
        notes["The constant answer"] = (
            f"is the best of those that say the same of every row: error {error(facts.yardstick.constant)} on the "
            f"selection split, {error(facts.yardstick.constant_report)} on the report split. A model that is no better "
            "on one of the two is drawn grey, and called so wherever it is named."
        )
    if facts.hypervolumes:
        notes["The search's hypervolume"] = (
            "is the share of the box from the whole network's error and no encoder to the error of no encoder and the "
            "whole network's size that a searcher's models cover, on the selection split."
        )
    notes |= {} if facts.comparison is None else comparison_notes(facts.comparison)
    return "\n".join(f"<p><b>{name}</b> {escape(note)}</p>" for name, note in notes.items())


def _intervals(facts: ReportFacts) -> str:
    rows = facts.yardstick.rows
    if not rows:
        return (
            f"are not given: {facts.metric} is no mean over the rows of one report split, and what each row was "
            "answered is not kept. `secateur pick` draws the rows again and gives them."
        )
    return (
        f"in brackets, and bars, are of the report error, 95 % (Wilson's, of {rows:,} rows): what another draw of as "
        "many rows may give. All models were scored on the same rows, so their differences are surer than that."
    )


def _latency(facts: ReportFacts) -> str:
    """Return what is known about the latency table, in rows."""
    rows = {"Median error on networks it was not fitted on": percent(facts.table_error), **facts.table_facts}
    return table(("", ""), [(escape(k), escape(v)) for k, v in rows.items()], head=False)
