"""All methods at equal budgets, as tables of the page."""

from __future__ import annotations

from html import escape

from ..weights import Layer
from .comparison import NONZERO, Comparison, Entry, Winner
from .parts import duration, error, number, percent, table
from .yardstick import CONSTANT

_NAMES = ("Method", "Density", "Kept", "Error, selection", "Error, report", "Latency (ms)", "Took", "Labels")


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


def comparison_section(facts: Comparison) -> str:
    """Return who is ahead within each budget, and all models of each layer, as HTML."""
    tables = "\n".join(_layer(facts, layer) for layer in facts.layers)
    return f"""
<section aria-labelledby="winners-title">
<h2 id="winners-title">All methods at equal budgets</h2>
<p>The lowest selection error within each share of the encoder's parameters; a search is shown by its best model within
it.</p>
<div class="scroll card winners" tabindex="0" role="region" aria-labelledby="winners-title">
{_winners(facts)}
</div>
{tables}
</section>"""


def comparison_notes(facts: Comparison) -> dict[str, str]:
    """Return what the numbers of the comparison mean: a name and a sentence."""
    return {
        "Layers": "tell how much training followed the cut. They are never shown together: an error of one says "
        "nothing about a method of another.",
        "Kept": "is the share of the encoder's parameters, whatever a budget was asked in. A model with zeros is as "
        "large and as slow as the whole one: its share is of non-zero weights, and it is drawn hollow.",
        "Hypervolume at equal budgets": "is the share that a method's models at the compared budgets cover of the box "
        "from no error and nothing kept to the best constant answer's error "
        f"({facts.worst_error:.3f}) and the whole network, on the selection split: one box for all.",
        "Took": "leaves out fine-tuning, which all begin with. A search took what training the supernet and searching "
        "took, however many models are wanted of it; a pruner is run for each. Labels are those of the texts that a "
        "method looked at.",
    }


def _winners(facts: Comparison) -> str:
    names = ("Layer", "Budget", "Method", "Kept", "Error, selection", "Error, report", "Latency (ms)")
    rows = []
    for one in facts.winners:
        method, _, share, selection, report, latency, *_ = _cells(facts, one.entry)
        rows.append((escape(facts.layer_title(one.layer)), budget(one), method, share, selection, report, latency))
    return table(names, rows)


def _cells(facts: Comparison, entry: Entry) -> tuple[str, ...]:
    method, *rest = map(escape, row(entry))
    return method + (f"<small>{CONSTANT}</small>" if facts.is_constant(entry) else ""), *rest


def _layer(facts: Comparison, layer: Layer) -> str:
    entries = facts.rows(layer)
    title, models = escape(facts.layer_title(layer)), f"{len(entries)} model{'' if len(entries) == 1 else 's'}"
    return f"""<details>
<summary>{title[0].upper()}{title[1:]}: {models}, several seeds of one put together</summary>
<div class="scroll card" tabindex="0" role="region" aria-label="Models, {title}">
{table(_NAMES, [_cells(facts, entry) for entry in entries])}
</div>
</details>"""
