"""`secateur compare`: every method on one front, judged by one evaluator."""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from ..evaluation.report import Comparison
from ..evaluation.report.comparison import NONZERO, Entry
from ..evaluation.report.comparison_tables import budget, row
from ..evaluation.report.parts import duration
from ..run.run import Run
from ..run.settings import CompareSettings
from .console import TERMINAL, out
from .settings import CompareCommand, fields_of


def compare(settings: CompareCommand) -> None:
    """Show what each method gets at each size: tables here, and report.html and compare.png in the run folder."""
    run = Run(settings.run, tell=TERMINAL)
    facts = run.compare(**fields_of(settings, CompareSettings))
    if settings.as_json:
        points = [*dict.fromkeys(facts.wholes.values()), *facts.points]
        out.print_json(data=[asdict(point) for point in points])
        return
    for layer in facts.layers:
        out.print(entries_table(facts, layer))
        out.print(standings_table(facts, layer))
    out.print(winners_table(facts))
    out.print(f"page: {run.path / 'report.html'}, picture: {run.path / 'compare.png'}", markup=False)


def entries_table(facts: Comparison, layer: str) -> Table:
    """Draw a layer: a row for each method at each density."""
    table = Table(title=f"{facts.title}: {facts.layer_title(layer)}, error = 1 - {facts.metric}", title_justify="left")
    table.add_column("method", no_wrap=True)
    for name in ("density", "kept", "error, selection", "error, report", "latency ms", "took", "labels"):
        table.add_column(name, justify="right")
    whole = facts.wholes.get(layer)
    mine = [entry for entry in facts.entries if entry.layer == layer]
    for entry in ([Entry.of([whole])] if whole is not None else []) + mine:
        table.add_row(*row(entry))
    return table


def standings_table(facts: Comparison, layer: str) -> Table:
    """Draw who covers most in a layer."""
    title = f"hypervolume of (error, share kept), selection split, from (0, 0) to ({facts.worst_error:.3f}, 1)"
    table = Table(title=title, title_justify="left")
    table.add_column("method", no_wrap=True)
    for name in ("hypervolume", "all took", "labels"):
        table.add_column(name, justify="right")
    for one in facts.standings:
        if one.layer == layer:
            method = f"{one.method} (non-zero weights)" if one.axis == NONZERO else one.method
            table.add_row(method, f"{one.hypervolume:.4f}", duration(one.seconds), f"{one.labels:,}")
    return table


def winners_table(facts: Comparison) -> Table:
    """Draw who has the lowest selection error within each budget."""
    table = Table(title="the lowest selection error within each budget", title_justify="left")
    for name in ("layer", "budget", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("kept", "error, selection", "error, report"):
        table.add_column(name, justify="right")
    for one in facts.winners:
        method, _, share, selection, report, *_ = row(one.entry)
        table.add_row(facts.layer_title(one.layer), budget(one), method, share, selection, report)
    return table
