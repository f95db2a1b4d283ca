"""What a constant answer gets in a run, kept in its run.json: models that are no better are called so."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..evaluation.archive import Archive
from ..evaluation.evaluation import SELECTION
from ..evaluation.objectives import ERROR
from ..evaluation.yardstick import CONSTANT, Yardstick
from .folder import RunFolder
from .model import Model

if TYPE_CHECKING:
    from ..tasks import Task

MARK = "*"  # beside what is no better
_SELECTION, _REPORT = "constant_selection", "constant_report"


def keep_constants(folder: RunFolder, task: Task) -> None:
    """Write down what the best constant answers get on both splits, unless it is there."""
    from .comparison import yardstick  # here: who reads them needs neither models nor tasks

    with folder.writing():
        known = folder.record.setdefault("data", {})
        if _SELECTION not in known:
            errors = yardstick(task)
            known |= {_SELECTION: errors.constant, _REPORT: errors.constant_report}
            folder._write()


def stored_yardstick(folder: RunFolder) -> Yardstick:
    """Return what errors are held against; NaN where nothing was scored on the report split yet."""
    known = folder.record.get("data", {})
    return Yardstick(known.get(_SELECTION, math.nan), known.get(_REPORT, math.nan))


def judged(folder: RunFolder, models: Iterable[Model]) -> list[Model]:
    """Return models that know whether they are no better than a constant answer."""
    held = stored_yardstick(folder)
    return [replace(m, constant=held.is_constant(m.error_selection, m.error_report)) for m in models]


def constant_note(folder: RunFolder, selection: float, report: float | None) -> str | None:
    """Say of a model with these errors that it is no better than a constant answer; None if it is."""
    held = stored_yardstick(folder)
    if not held.is_constant(selection, report):
        return None
    splits = f"{held.constant:.4f} on the selection and {held.constant_report:.4f} on the report split"
    return f"{CONSTANT}, whose error is {splits}"


def notes_of(folder: RunFolder, archive: Archive, models: Iterable[Model]) -> tuple[str, ...]:
    """Say what must be known of models: that nothing was learnt, and what those that are marked are no better than."""
    marked = (constant_note(folder, m.error_selection, m.error_report) for m in models)
    note = next((f"{MARK} {note}" for note in marked if note is not None), None)
    return tuple(line for line in (nothing_learnt(folder, archive), note) if line is not None)


def nothing_learnt(folder: RunFolder, archive: Archive) -> str | None:
    """Say that not even the whole network is better than a constant answer; None if it is, or was not scored."""
    held = stored_yardstick(folder)
    wholes = [one.values[ERROR] for one in archive.evaluations(split=SELECTION) if one.mask.is_full]
    if not wholes or not held.is_constant(min(wholes)):
        return None
    return (
        f"nothing was learnt: the whole network is {CONSTANT}: on the selection split its error is {min(wholes):.4f}, "
        f"that answer's {held.constant:.4f}"
    )
