"""Every method on one front, judged by one evaluator."""

from __future__ import annotations

import math

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import REPORT, SELECTION, Evaluation
from ...evaluation.report.comparison import Comparison
from ...evaluation.report.stamp import is_drawn
from ...evaluation.weights import SEVERAL_PER_MASK, Weights
from ...supernet.training.settings import RecoverySettings
from ..archives import archive_of, lost_archive
from ..comparison import Budgets, Compared, Equal, budgets_of, comparison
from ..data_facts import data_facts
from ..folder import RunFolder
from ..processes import check_alone
from ..recipes import can_refit, recovered_row, refitted_row
from ..report.report import write_report
from ..settings.compare import CompareSettings
from ..settings.parsing import parse_densities
from ..settings.recovery import RefitSettings
from ..telling import call_of

PICTURE = "compare.png"


def compare(folder: RunFolder, settings: CompareSettings) -> Comparison:
    """Return what each method gets at each size, and write report.html and compare.png.

    In four layers that are never mixed: no recovery, a refit, the same short recovery for all, a method's own full
    recipe. What is missing of the second is made, and of the third where it is asked for, from models of all methods.

    Raises:
        InputError: nothing was searched or pruned yet, or not at these densities.
    """
    check_alone("compare")
    densities = None if settings.density is None else parse_densities(settings.density)
    if settings.recover is not None and settings.recover_epochs is not None:
        raise InputError("`recover` and `recover_epochs` are two ways to say how long; give one")
    trackers: tuple[str, ...] = ()
    if settings.report_to is not None:
        from ...supernet.training.tracking import parse_trackers  # here and below: who only compares needs no torch

        trackers = parse_trackers(settings.report_to)
    if (lost := lost_archive(folder)) is not None:
        raise InputError(f"{lost}; put it back, or search and prune again")
    if not folder.archive.exists():
        raise InputError(_nothing(folder))
    with archive_of(folder) as archive:
        budgets = budgets_of(archive, densities)
        if not len(archive):
            raise InputError(_nothing(folder))
        epochs = settings.recover_epochs
        if settings.recover is not None:
            epochs = settings.recover / math.ceil(data_facts(folder).train / RecoverySettings().batch_size)
        _make(folder, archive, budgets, settings, epochs, trackers)
        equal = Equal.of(archive, epochs, settings.refit)
        facts = comparison(folder, archive, budgets, equal)
        if facts is None:
            raise InputError(_none_there(folder, archive, budgets))
        write_report(folder, archive, facts, equal)
    if not is_drawn(folder.path / PICTURE, facts):
        from ...evaluation.report import write_comparison_picture

        write_comparison_picture(folder.path / PICTURE, facts)
    return facts


def _nothing(folder: RunFolder) -> str:
    prune = call_of(folder.path, "prune", method="kcm,mask_tuning", density="0.8,0.6")
    return f"{folder.path} has nothing to compare yet; run {prune} or {call_of(folder.path, 'search')} first"


def _none_there(folder: RunFolder, archive: Archive, budgets: Budgets) -> str:
    asked = ", ".join(f"{budget:g}" for budget in budgets.kept)
    pruned = any("density" in one.recipe for one in archive.evaluations(split=SELECTION, weights=SEVERAL_PER_MASK))
    made = budgets_of(archive)
    known = ", ".join(f"{density:g}" for density in sorted({*made.kept, *made.nonzero}, reverse=True))
    there = f"it was pruned at {known}" if pruned else f"{call_of(folder.path, 'prune')} makes some"
    return f"no method has a model of {folder.path} at a density of {asked}; {there}"


def _make(
    folder: RunFolder,
    archive: Archive,
    budgets: Budgets,
    settings: CompareSettings,
    epochs: float | None,
    trackers: tuple[str, ...],
) -> None:
    """Refit what was not, of each method's models at the budgets, then recover those and the whole one if asked to."""
    cut = Equal(None, refit=False, after_refit=False)
    compared = Compared(folder, archive, budgets, cut)
    searched = [compared.searched(weights) for weights in (Weights.SUPERNET, Weights.SOLVED)]
    found = [one for best in searched for of in best.values() for one in of] + compared.pruned()
    models = [*{(one.selection.model, one.selection.method): one.selection for one in found}.values()]
    refits = [(before, refitted_row(before)) for before in models if settings.refit and can_refit(before)]
    todo = _missing(archive, refits)
    if not todo and epochs is None:
        return
    from ..project import open_task
    from ..scoring import Scorer
    from .diverging import ends_where_it_diverges
    from .equal import recover_all, refit_all
    from .sources import Sources

    with folder.writing():
        sources = Sources(Scorer.open(folder, open_task(folder)))
        sources.scorer.keep_whole(archive)
        if todo:
            _say(folder, "refit", len(todo), len(refits))
            with folder.stage("refit", RefitSettings()):
                refit_all(sources, archive, todo)
        if epochs is None:
            return
        recovery = RecoverySettings(epochs=epochs)
        ending = ends_where_it_diverges(folder, "recover", folder.state("recover"), made=lambda: True)
        with ending, folder.stage("recover", recovery):
            made = {row.model: row for row in archive.evaluations(split=SELECTION, weights=Weights.REFITTED)}
            begins = {(before.model, before.method): made[row.model] for before, row in refits}
            whole = Compared(folder, archive, budgets, cut).whole()  # it may be scored just now
            models = [*([] if whole is None else [whole.selection]), *models]
            rows = [(one, recovered_row(begins.get((one.model, one.method), one), epochs)) for one in models]
            todo = _missing(archive, rows)
            _say(folder, "recover", len(todo), len(rows))
            if todo:
                recover_all(sources, archive, todo, recovery, trackers)


def _missing(archive: Archive, rows: list[tuple[Evaluation, Evaluation]]) -> list[tuple[Evaluation, Evaluation]]:
    """Return those whose second row is not in the archive; the first is what the model got before."""
    done = {row.model for row in archive.evaluations(split=REPORT)}
    return [(before, row) for before, row in rows if row.model not in done]


def _say(folder: RunFolder, name: str, todo: int, of: int) -> None:
    if todo < of:
        folder.tell.say(f"{name}: {of - todo} of {of} models are in the archive already")
