"""All methods of a run at equal budgets, as `compare` prints them and the report draws them."""

from __future__ import annotations

import statistics

from ..evaluation.archive import RECOVERED, Archive
from ..evaluation.model_error import constant_error
from ..evaluation.report import Comparison, Yardstick
from ..evaluation.report.comparison import NONZERO
from ..search_space import EncoderShape
from ..supernet.settings import RecoverySettings
from ..tasks import Task
from .compared import Budgets, Compared
from .points import KINDS, precision
from .rescore import SELECTION
from .run_folder import RunFolder

_DENSITIES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # if nothing was pruned
_TOLD = ("learning_rate", "batch_size", "warmup", "weight_decay")  # of a recovery


def budgets_of(archive: Archive, asked: tuple[float, ...] | None = None) -> Budgets:
    """Return the densities that were asked for, or those that models of both kinds were made at."""
    if asked is not None:
        wanted = tuple(sorted(asked, reverse=True))
        return Budgets(wanted, wanted)
    recipes = [one.recipe for one in archive.evaluations(split=SELECTION, weights=KINDS) if "density" in one.recipe]
    kept = {recipe["density"] for recipe in recipes if recipe["cost"] != NONZERO}
    nonzero = {recipe["density"] for recipe in recipes if recipe["cost"] == NONZERO}
    return Budgets(tuple(sorted(kept or _DENSITIES, reverse=True)), tuple(sorted(nonzero, reverse=True)))


def comparison(
    folder: RunFolder,
    archive: Archive,
    task: Task,
    shape: EncoderShape,
    budgets: Budgets,
    epochs: float | None,
) -> Comparison | None:
    """Collect what is compared.

    Args:
        folder: the run.
        archive: its archive.
        task: its task.
        shape: of its whole encoder.
        budgets: at which methods are compared.
        epochs: of the recovery to show; the longest that was made if None.

    Returns:
        None if no method has a model at these budgets.
    """
    lengths = [one.recipe["epochs"] for one in archive.evaluations(split=SELECTION, weights=RECOVERED)]
    epochs = max(lengths, default=None) if epochs is None else epochs
    compared = Compared(folder, archive, task, shape, budgets)
    points = tuple(compared.points(epochs))
    if not points:
        return None
    return Comparison(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        model=folder.project.model,
        points=points,
        wholes=compared.wholes(epochs),
        budgets=budgets.kept,
        yardstick=yardstick(task),
        epochs=epochs,
        facts=_facts(folder, task, epochs),
    )


def yardstick(task: Task) -> Yardstick:
    """Return what errors of a task are held against; of several report splits their mean counts."""
    splits = list(task.report.values())
    return Yardstick(
        constant=constant_error(task.selection, task.metric),
        constant_report=statistics.fmean(constant_error(split, task.metric) for split in splits),
        rows=splits[0].examples if task.metric.is_mean and len(splits) == 1 else 0,
    )


def _facts(folder: RunFolder, task: Task, epochs: float | None) -> dict[str, str]:
    report = ", ".join(f"{name} {split.examples:,}" for name, split in task.report.items())
    found = {
        "Evaluator": f"one for all: whole passes of each model over each split, {precision(folder)} precision",
        "Splits": f"training {task.train.examples:,} texts; selection {task.selection.examples:,}, held out of it, "
        f"which all choices are made on; report: {report} ({task.report_origin}), looked at once per model",
    }
    if epochs is not None:
        found["Equal recovery"] = (
            f"{epochs:g} epoch{'' if epochs == 1 else 's'} from the fine-tuned model's outputs and the labels, the "
            "same steps for each model: "
            + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in RecoverySettings().model_dump().items() if k in _TOLD)
        )
    return found
