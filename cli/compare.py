"""`secateur compare`: every method on one front, judged by one evaluator."""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluation.report import Comparison
from ..evaluation.report.comparison import NONZERO, Entry
from ..evaluation.report.comparison_tables import budget, row
from ..evaluation.report.parts import duration
from ..evaluation.report.yardstick import CONSTANT
from ..evaluation.weights import Layer
from ..run.choice.columns import Column
from ..run.constant import MARK
from ..run.run import Run
from ..run.settings.compare import CompareSettings
from .console import TERMINAL, out, print_json, print_text
from .settings import CompareCommand, fields_of
from .tables import show


def compare(settings: CompareCommand) -> None:
    """Show what each method gets at each size: tables here, and report.html and compare.png in the run folder."""
    run = Run(settings.run, tell=TERMINAL)
    facts = run.compare(**fields_of(settings, CompareSettings))
    if settings.as_json:
        points = [*dict.fromkeys(facts.wholes.values()), *facts.points]
        print_json([point.facts() | {"constant": facts.is_constant(Entry.of([point]))} for point in points])
        return
    for layer in facts.layers:
        show_entries(facts, layer)
        show_standings(facts, layer)
    show_winners(facts)
    if any(map(facts.is_constant, facts.entries)):
        print_text(f"{MARK} {CONSTANT}, whose error is {facts.yardstick.constant:.4f} on the selection split")
    out.print(f"page: {run.path / 'report.html'}, picture: {run.path / 'compare.png'}", markup=False)


_ENTRY = ("method", "density", "kept", "error, selection", "error, report", "ms", "took", "labels")


def show_entries(facts: Comparison, layer: Layer) -> None:
    """Print a layer: a row for each method at each density."""
    title = f"{facts.title}: {facts.layer_title(layer)}, error = 1 - {facts.metric}"
    _show(title, _ENTRY, [_row(facts, entry) for entry in facts.rows(layer)])


def show_standings(facts: Comparison, layer: Layer) -> None:
    """Print who covers most in a layer."""
    rows = []
    for one in facts.standings:
        if one.layer == layer:
            method = f"{one.method} (non-zero weights)" if one.axis == NONZERO else one.method
            rows.append((method, f"{one.hypervolume:.4f}", duration(one.seconds), f"{one.labels:,}"))
    title = f"hypervolume of (error, share kept), selection split, from (0, 0) to ({facts.worst_error:.3f}, 1)"
    _show(title, ("method", "hypervolume", "all took", "labels"), rows)


def show_winners(facts: Comparison) -> None:
    """Print who has the lowest selection error within each budget."""
    rows = []
    for one in facts.winners:
        method, _, share, selection, report, *_ = _row(facts, one.entry)
        rows.append((facts.layer_title(one.layer), budget(one), method, share, selection, report))
    names = ("layer", "budget", "method", "kept", "error, selection", "error, report")
    _show("the lowest selection error within each budget", names, rows, labels=3)


def _row(facts: Comparison, entry: Entry) -> tuple[str, ...]:
    method, density, share, selection, *rest = row(entry)
    return method, density, share, f"{selection} {MARK}" if facts.is_constant(entry) else selection, *rest


def _show(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], labels: int = 1) -> None:
    cells = zip(*rows, strict=True)
    columns = [Column(name, column, left=i < labels) for i, (name, column) in enumerate(zip(names, cells))]
    show(title, columns, 1 if labels == 1 else 2)
