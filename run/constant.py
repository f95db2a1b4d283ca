"""Models held against the best constant answer, which the run.json knows: those that are no better are called so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..evaluation.archive import Archive
from ..evaluation.evaluation import SELECTION
from ..evaluation.model import Model
from ..evaluation.objectives import ERROR
from ..evaluation.report.yardstick import CONSTANT, Yardstick
from .data_facts import data_facts
from .folder import RunFolder

MARK = "*"  # beside what is no better


def stored_yardstick(folder: RunFolder) -> Yardstick:
    """Return what errors of a run are held against; one that calls nothing constant if it does not know its data."""
    return data_facts(folder).yardstick if "data" in folder.record else Yardstick()


def judged(folder: RunFolder, models: Iterable[Model]) -> list[Model]:
    """Return models that know whether they are no better than a constant answer."""
    held = stored_yardstick(folder)
    return [replace(m, constant=held.is_constant(m.error_selection, m.error_report)) for m in models]


def constant_note(folder: RunFolder, selection: float, report: float | None) -> str | None:
    """Say of a model with these errors that it is no better than a constant answer; None if it is."""
    return _note(stored_yardstick(folder), selection, report)


def _note(held: Yardstick, selection: float, report: float | None) -> str | None:
    if not held.is_constant(selection, report):
        return None
    splits = f"{held.constant:.4f} on the selection and {held.constant_report:.4f} on the report split"
    return f"{CONSTANT}, whose error is {splits}"


def without_constants(models: Sequence[Model]) -> tuple[list[Model], tuple[str, ...]]:
    """Leave out models that are no better than a constant answer, and say so; all stay if none is better."""
    better = [model for model in models if not model.constant]
    gone = len(models) - len(better)
    if not better or not gone:
        return list(models), ()
    return better, (f"left out of {len(models)} models of this front: {gone}, {CONSTANT}",)


def notes_of(folder: RunFolder, archive: Archive, models: Iterable[Model]) -> tuple[str, ...]:
    """Say what must be known of models: that nothing was learnt, and what those that are marked are no better than."""
    held = stored_yardstick(folder)
    marked = (_note(held, m.error_selection, m.error_report) for m in models)
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
