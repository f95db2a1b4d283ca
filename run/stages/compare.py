"""Every method on one front, judged by one evaluator."""

from __future__ import annotations

import math

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import RECOVERED, REPORT, SELECTION, UNSEARCHED
from ...evaluation.report import Comparison, write_comparison_picture
from ...search_space import EncoderShape
from ...supernet.families import family_of
from ...supernet.stored.storage import load_config
from ...supernet.training.settings import RecoverySettings
from ...supernet.training.tracking import parse_trackers
from ...tasks import Task
from ..comparison import Budgets, Compared, budgets_of, comparison
from ..folder import RunFolder
from ..processes import check_alone
from ..project import open_task
from ..report.report import write_report
from ..scoring import Scorer
from ..settings import CompareSettings, parse_densities
from ..telling import call_of
from .equal_recovery import recover_all, recovered_row

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
    trackers = parse_trackers(settings.report_to)
    if not folder.archive.exists():
        raise InputError(_nothing(folder))
    with Archive(folder.archive) as archive:
        budgets = budgets_of(archive, asked)
        config = load_config(folder.finetuned)
        shape, task = family_of(config).shape(config), open_task(folder)
        if not len(archive):
            raise InputError(_nothing(folder))
        epochs = settings.recover_epochs
        if settings.recover is not None:
            epochs = settings.recover / math.ceil(len(task.train) / RecoverySettings().batch_size)
        if epochs is not None:
            with folder.writing():
                _recover(folder, archive, task, shape, budgets, RecoverySettings(epochs=epochs), trackers)
        facts = comparison(folder, archive, task, shape, budgets, epochs)
        if facts is None:
            raise InputError(_none_there(folder, archive, budgets))
        write_report(folder, archive, task, facts)
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


def _recover(
    folder: RunFolder,
    archive: Archive,
    task: Task,
    shape: EncoderShape,
    budgets: Budgets,
    settings: RecoverySettings,
    trackers: tuple[str, ...],
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
            folder.tell.say(f"recover: {len(rows) - len(todo)} of {len(rows)} models are in the archive already")
        if todo:
            recover_all(scorer, archive, todo, settings, trackers)
