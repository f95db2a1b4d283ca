"""Every method on one front, judged by one evaluator."""

from __future__ import annotations

import math

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import REPORT, SELECTION
from ...evaluation.report.comparison import Comparison
from ...evaluation.report.stamp import is_drawn
from ...evaluation.weights import UNSEARCHED, Weights
from ...supernet.training.settings import RecoverySettings
from ..comparison import Budgets, Compared, budgets_of, comparison
from ..data_facts import data_facts
from ..folder import RunFolder
from ..processes import check_alone
from ..report.report import write_report
from ..settings import CompareSettings, parse_densities
from ..telling import call_of

PICTURE = "compare.png"


def compare(folder: RunFolder, settings: CompareSettings) -> Comparison:
    """Return what each method gets at each size, and write report.html and compare.png.

    In three layers that are never mixed: no recovery, the same short recovery for all, a method's own full recipe.
    Where a recovery is asked for, the second layer is made, from models of all methods.

    Raises:
        InputError: nothing was searched or pruned yet, or not at these densities.
    """
    check_alone("compare")
    asked = None if settings.density is None else parse_densities(settings.density)
    if settings.recover is not None and settings.recover_epochs is not None:
        raise InputError("`recover` and `recover_epochs` are two ways to say how long; give one")
    trackers: tuple[str, ...] = ()
    if settings.report_to is not None:
        from ...supernet.training.tracking import parse_trackers  # here and below: who only compares needs no torch

        trackers = parse_trackers(settings.report_to)
    if not folder.archive.exists():
        raise InputError(_nothing(folder))
    with Archive(folder.archive) as archive:
        budgets = budgets_of(archive, asked)
        if not len(archive):
            raise InputError(_nothing(folder))
        epochs = settings.recover_epochs
        if settings.recover is not None:
            epochs = settings.recover / math.ceil(data_facts(folder).train / RecoverySettings().batch_size)
        if epochs is not None:
            with folder.writing():
                _recover(folder, archive, budgets, epochs, trackers)
        facts = comparison(folder, archive, budgets, epochs)
        if facts is None:
            raise InputError(_none_there(folder, archive, budgets))
        write_report(folder, archive, facts)
    if not is_drawn(folder.path / PICTURE, facts):
        from ...evaluation.report import write_comparison_picture

        write_comparison_picture(folder.path / PICTURE, facts)
    return facts


def _nothing(folder: RunFolder) -> str:
    prune = call_of(folder.path, "prune", method="kcm,mask_tuning", density="0.8,0.6")
    return f"{folder.path} has nothing to compare yet; run {prune} or {call_of(folder.path, 'search')} first"


def _none_there(folder: RunFolder, archive: Archive, budgets: Budgets) -> str:
    asked = ", ".join(f"{budget:g}" for budget in budgets.kept)
    pruned = any("density" in one.recipe for one in archive.evaluations(split=SELECTION, weights=UNSEARCHED))
    made = budgets_of(archive)
    known = ", ".join(f"{density:g}" for density in sorted({*made.kept, *made.nonzero}, reverse=True))
    there = f"it was pruned at {known}" if pruned else f"{call_of(folder.path, 'prune')} makes some"
    return f"no method has a model of {folder.path} at a density of {asked}; {there}"


def _recover(folder: RunFolder, archive: Archive, budgets: Budgets, epochs: float, trackers: tuple[str, ...]) -> None:
    """Recover what was not: each method's models at the budgets, and the whole one."""
    from ..project import open_task
    from ..scoring import Scorer
    from .equal_recovery import recover_all, recovered_row

    settings, scorer = RecoverySettings(epochs=epochs), Scorer.open(folder, open_task(folder))
    with folder.stage("recover", settings):
        scorer.keep_whole(archive)
        compared = Compared(folder, archive, budgets)
        whole = compared.whole()
        found = [] if whole is None else [whole]
        found += [one for of in compared.searched().values() for one in of] + compared.pruned()
        models = {(one.selection.model, one.selection.method): one.selection for one in found}
        rows = [(before, recovered_row(before, settings)) for before in models.values()]
        done = {one.model for one in archive.evaluations(split=REPORT, weights=Weights.RECOVERED)}
        todo = [(before, row) for before, row in rows if row.model not in done]
        if len(todo) < len(rows):
            folder.tell.say(f"recover: {len(rows) - len(todo)} of {len(rows)} models are in the archive already")
        if todo:
            recover_all(scorer, archive, todo, settings, trackers)
