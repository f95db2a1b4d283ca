"""`secateur compare`: every method on one front, judged by one evaluator."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from ..errors import InputError
from ..evaluation.archive import RECOVERED, Archive
from ..evaluation.model_error import constant_error
from ..evaluation.report import Comparison, write_comparison_page, write_comparison_picture
from ..evaluation.report.comparison import NONZERO, Entry
from ..evaluation.report.comparison_page import budget, row
from ..evaluation.report.parts import duration
from ..search_space import EncoderShape
from ..supernet.families import family_of
from ..supernet.settings import RecoverySettings
from ..supernet.storage import load_config
from ..tasks import Task
from .compared import Budgets, Compared
from .console import out, say
from .latency_tables import searched_latency_table
from .points import KINDS, Scorer, precision
from .processes import check_alone
from .prune import parse_densities
from .recovering import recover_all, recovered_row
from .rescore import REPORT, SELECTION
from .run_folder import RunFolder
from .settings import CompareCommand
from .workspace import open_task

_DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # if nothing was pruned
_TOLD = ("learning_rate", "batch_size", "warmup", "weight_decay")  # of a recovery


def compare(settings: CompareCommand) -> None:
    """Show what each method gets at each size: tables here, and compare.html and compare.png in the run folder.

    In three layers that are never mixed: no recovery, the same short recovery for all, a method's own full recipe.
    With --recover the second layer is made, from models of all methods.
    """
    check_alone("compare")
    folder = RunFolder.open(settings.run)
    asked = None if settings.densities is None else parse_densities("--densities", settings.densities)
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
                _recover(folder, archive, task, shape, budgets, recipe)
        facts = comparison(folder, archive, task, shape, budgets, settings.recover)
    page = write(folder, facts)
    if settings.as_json:
        points = [*dict.fromkeys(facts.wholes.values()), *facts.points]
        out.print_json(json.dumps([asdict(point) for point in points]))
        return
    for layer in facts.layers:
        out.print(entries_table(facts, layer))
        out.print(standings_table(facts, layer))
    out.print(winners_table(facts))
    out.print(f"page: {page}, picture: {page.with_suffix('.png')}", markup=False)


def _nothing(folder: RunFolder) -> str:
    return (
        f"{folder.path} has nothing to compare yet; run `secateur prune {folder.path} --method kcm,mask_tuning "
        f"--density 0.8,0.6` or `secateur search {folder.path}` first"
    )


def budgets_of(archive: Archive, asked: tuple[float, ...] | None = None) -> Budgets:
    """Return the densities that were asked for, or those that models of both kinds were made at."""
    if asked is not None:
        wanted = tuple(sorted(asked, reverse=True))
        return Budgets(wanted, wanted)
    recipes = [one.recipe for one in archive.evaluations(split=SELECTION, weights=KINDS) if "density" in one.recipe]
    kept = {recipe["density"] for recipe in recipes if recipe["cost"] != NONZERO}
    nonzero = {recipe["density"] for recipe in recipes if recipe["cost"] == NONZERO}
    return Budgets(tuple(sorted(kept or _DENSITIES, reverse=True)), tuple(sorted(nonzero, reverse=True)))


def write(folder: RunFolder, facts: Comparison) -> Path:
    """Write `compare.html` and `compare.png` into the run folder; return the page's path."""
    page = folder.path / "compare.html"
    write_comparison_page(page, facts)
    write_comparison_picture(page.with_suffix(".png"), facts)
    return page


def _recover(
    folder: RunFolder,
    archive: Archive,
    task: Task,
    shape: EncoderShape,
    budgets: Budgets,
    settings: RecoverySettings,
) -> None:
    """Recover what was not: each method's models at the budgets, and the whole one."""
    scorer = Scorer.open(folder, task)
    with folder.stage("recover", settings):
        scorer.keep_whole(archive)
        compared = Compared(folder, archive, task, shape, budgets)
        whole = compared.whole()
        found = [] if whole is None else [whole]
        found += [one for of in compared.searched().values() for one in of] + compared.pruned()
        models = {(one.selection.model, one.selection.method): one.selection for one in found}
        rows = [(before, recovered_row(before, settings)) for before in models.values()]
        done = {one.model for one in archive.evaluations(split=REPORT, weights=RECOVERED)}
        todo = [(before, row) for before, row in rows if row.model not in done]
        if len(todo) < len(rows):
            say(f"recover: {len(rows) - len(todo)} of {len(rows)} models are in the archive already")
        if todo:
            recover_all(scorer, archive, todo, settings)


def comparison(
    folder: RunFolder,
    archive: Archive,
    task: Task,
    shape: EncoderShape,
    budgets: Budgets,
    epochs: float | None,
) -> Comparison:
    """Collect what is compared.

    Args:
        folder: the run.
        archive: its archive.
        task: its task.
        shape: of its whole encoder.
        budgets: at which methods are compared.
        epochs: of the recovery to show; the longest that was made if None.

    Raises:
        InputError: no method has a model at these budgets.
    """
    lengths = [one.recipe["epochs"] for one in archive.evaluations(split=SELECTION, weights=RECOVERED)]
    epochs = max(lengths, default=None) if epochs is None else epochs
    compared = Compared(folder, archive, task, shape, budgets)
    points = tuple(compared.points(epochs))
    if not points:
        asked = ", ".join(f"{budget:g}" for budget in budgets.kept)
        pruned = any("density" in one.recipe for one in archive.evaluations(split=SELECTION, weights=KINDS))
        made = budgets_of(archive)
        known = ", ".join(f"{density:g}" for density in sorted({*made.kept, *made.nonzero}, reverse=True))
        there = f"it was pruned at {known}" if pruned else f"`secateur prune {folder.path}` makes some"
        raise InputError(f"no method has a model of {folder.path} at a density of {asked}; {there}")
    worst = constant_error(task.selection, task.metric)
    return Comparison(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        model=folder.project.model,
        points=points,
        wholes=compared.wholes(epochs),
        budgets=budgets.kept,
        worst_error=worst if worst > 0 else 1.0,
        recovery="" if epochs is None else f"{epochs:g} epoch{'' if epochs == 1 else 's'} of distillation",
        facts=_facts(folder, task, epochs),
    )


def _facts(folder: RunFolder, task: Task, epochs: float | None) -> dict[str, str]:
    report = ", ".join(f"{name} {split.examples:,}" for name, split in task.report.items())
    table = searched_latency_table(folder)
    found = {
        "Evaluator": f"one for all: whole passes of each model over each split, {precision(folder)} precision",
        "Splits": f"training {task.train.examples:,} texts; selection {task.selection.examples:,}, held out of it, "
        f"which all choices are made on; report: {report}, looked at once per model",
        "Latency": f"each model's own run, end to end: {table.target}",
        "Machine": ", ".join(f"{name} {value}" for name, value in folder.record["environment"].items()),
    }
    if epochs is not None:
        found["Equal recovery"] = (
            f"{epochs:g} epochs from the fine-tuned model's outputs and the labels, the same steps for each model: "
            + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in RecoverySettings().model_dump().items() if k in _TOLD)
        )
    return found


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
