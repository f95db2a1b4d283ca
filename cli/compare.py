"""`secateur compare`: every method on one front, judged by one evaluator."""

from __future__ import annotations

import json
from dataclasses import asdict

from rich.table import Table

from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import SELECTION, UNSEARCHED
from ..evaluation.report import Comparison, write_comparison_picture
from ..evaluation.report.comparison import NONZERO, Entry
from ..evaluation.report.comparison_tables import budget, row
from ..evaluation.report.parts import duration
from ..run.comparison import Budgets, budgets_of, comparison
from ..run.folder import RunFolder
from ..run.processes import check_alone
from ..run.project import open_task
from ..run.report.report import write_report
from ..run.stages.equal_recovery import _recover
from ..supernet.families import family_of
from ..supernet.stored.storage import load_config
from ..supernet.training.settings import RecoverySettings
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL, out
from .prune import parse_densities
from .settings import CompareCommand


def compare(settings: CompareCommand) -> None:
    """Show what each method gets at each size: tables here, and report.html and compare.png in the run folder.

    In three layers that are never mixed: no recovery, the same short recovery for all, a method's own full recipe.
    With --recover the second layer is made, from models of all methods.
    """
    check_alone("compare")
    folder = RunFolder.open(settings.run, TERMINAL)
    asked = None if settings.densities is None else parse_densities("--densities", settings.densities)
    trackers = parse_trackers(settings.report_to)
    if not folder.archive.exists():
        raise InputError(_nothing(folder))
    with Archive(folder.archive) as archive:
        budgets = budgets_of(archive, asked)
        config = load_config(folder.finetuned)
        shape, task = family_of(config).shape(config), open_task(folder)
        if not len(archive):
            raise InputError(_nothing(folder))
        if settings.recover is not None:
            recipe = RecoverySettings(epochs=settings.recover)
            with folder.writing():
                _recover(folder, archive, task, shape, budgets, recipe, trackers)
        facts = comparison(folder, archive, task, shape, budgets, settings.recover)
        if facts is None:
            raise InputError(_none_there(folder, archive, budgets))
        page = write_report(folder, archive, task, facts)
    picture = folder.path / "compare.png"
    write_comparison_picture(picture, facts)
    if settings.as_json:
        points = [*dict.fromkeys(facts.wholes.values()), *facts.points]
        out.print_json(json.dumps([asdict(point) for point in points]))
        return
    for layer in facts.layers:
        out.print(entries_table(facts, layer))
        out.print(standings_table(facts, layer))
    out.print(winners_table(facts))
    out.print(f"page: {page}, picture: {picture}", markup=False)


def _nothing(folder: RunFolder) -> str:
    return (
        f"{folder.path} has nothing to compare yet; run `secateur prune {folder.path} --method kcm,mask_tuning "
        f"--density 0.8,0.6` or `secateur search {folder.path}` first"
    )


def _none_there(folder: RunFolder, archive: Archive, budgets: Budgets) -> str:
    asked = ", ".join(f"{budget:g}" for budget in budgets.kept)
    pruned = any("density" in one.recipe for one in archive.evaluations(split=SELECTION, weights=UNSEARCHED))
    made = budgets_of(archive)
    known = ", ".join(f"{density:g}" for density in sorted({*made.kept, *made.nonzero}, reverse=True))
    there = f"it was pruned at {known}" if pruned else f"`secateur prune {folder.path}` makes some"
    return f"no method has a model of {folder.path} at a density of {asked}; {there}"


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
