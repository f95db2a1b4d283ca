"""Texts that nobody has labelled, and the answers of a model in the place of labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .agreement import agreement
from .kinds import UNLABELLED
from .split import Split
from .task import Task

Answer = Callable[[Split], np.ndarray]  # from a split to a model's outputs `(R, C)`


def answered(task: Task, outputs: Answer) -> Task:
    """Return a task whose labels are a model's answers, and whose metric is agreement with them.

    Args:
        task: its labels, if it has any, are not looked at.
        outputs: of the model.
    """
    return answered_by(task, {name: task.kind.answered(outputs(part), part) for name, part in splits_of(task).items()})


def splits_of(task: Task) -> dict[str, Split]:
    """Return all splits of a task by name."""
    return {"train": task.train, "selection": task.selection, **task.report}


def answered_by(task: Task, splits: dict[str, Split]) -> Task:
    """Return a task of splits that a model has answered, by name."""
    return replace(
        task,
        metric=agreement(task.kind),
        train=splits["train"],
        selection=splits["selection"],
        report={name: splits[name] for name in task.report},
        answered=True,
    )


def with_answers_of(known: Task, task: Task) -> Task:
    """Return a task with the answers that a model gave to the same texts in other tokens.

    Args:
        known: answered.
        task: the same texts in the same splits, without answers.
    """
    theirs = splits_of(known)
    return answered_by(task, {name: _as_in(theirs[name], split) for name, split in splits_of(task).items()})


def _as_in(known: Split, split: Split) -> Split:
    if known.passages is not None and split.passages is not None:
        return replace(split, passages=replace(split.passages, answers=known.passages.answers))
    if not isinstance(known.labels, list) or not isinstance(split.labels, list):
        return replace(split, labels=known.labels)
    return replace(split, labels=list(map(_tags_as_in, known.labels, split.labels)))


def _tags_as_in(known: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the tags of a sentence at its words' first tokens; what was cut away in one of both has none."""
    tags, first = known[known != UNLABELLED], np.flatnonzero(labels != UNLABELLED)
    found = np.full(len(labels), UNLABELLED, np.int64)
    words = min(len(tags), len(first))
    found[first[:words]] = tags[:words]
    return found
