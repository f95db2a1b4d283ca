"""The order of a task's classes: that of the model, if it knows them by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .kinds.entities import OUTSIDE, entity_tags
from .split import Split
from .task import Task

_KINDS = ("classification", "multilabel", "token-classification")


def in_order_of(task: Task, names: Sequence[str]) -> Task:
    """Return a task with its classes in the order of a model's, so that its outputs mean the same as before.

    Classes are the same if their names are, but for case, and for spaces, dashes and underscores. A tagger may have
    more of them, for few sentences lack a rare tag. Where no name is the same, as with LABEL_0, the order stays the
    task's.

    Args:
        task: of any kind; one without classes is returned as it is.
        names: of the model's classes, in its order.

    Raises:
        InputError: some of the names are the same, but not all.
    """
    if task.kind.name not in _KINDS:
        return task
    if len(names) != task.num_labels and not task.kind.per_token:
        return task
    numbers = _numbers(task.label_names, names, task.name)
    if numbers is None or (len(names) == task.num_labels and (numbers == np.arange(task.num_labels)).all()):
        return task
    ordered = list(map(str, names))
    for name, number in zip(task.label_names, numbers, strict=True):
        ordered[number] = name  # the data's spelling
    tags = _tags(task, ordered, numbers)
    several = task.kind.name == "multilabel"  # a column for each class

    def renumbered(split: Split) -> Split:
        labels = np.asarray(split.labels)[:, np.argsort(numbers)] if several else _renumbered(split, numbers)
        return replace(split, labels=labels, tags=tags)

    positive = task.metric.positive
    weights = np.ones(len(ordered) if task.kind.class_weights else 0)
    weights[numbers[: len(task.kind.class_weights)]] = task.kind.class_weights
    return replace(
        task,
        kind=replace(task.kind, class_weights=tuple(weights.tolist())),
        label_names=tuple(ordered),
        metric=task.metric if positive is None else task.metric.of_class(int(numbers[positive])),
        positive=int(numbers[task.positive]) if task.num_labels == 2 else task.positive,
        train=renumbered(task.train),
        selection=renumbered(task.selection),
        report={name: renumbered(split) for name, split in task.report.items()},
    )


def _numbers(ours: Sequence[str], theirs: Sequence[str], task: str) -> NDArray[np.int64] | None:
    """Return the place of each of our classes among theirs; None if nothing tells it."""
    for key in _KEYS:
        own, other = [key(name) for name in ours], [key(name) for name in theirs]
        if len(set(own)) == len(own) and len(set(other)) == len(other) and set(own) <= set(other):
            return np.array([other.index(name) for name in own], np.int64)
    known = {_loose(name) for name in theirs}
    strange = [name for name in ours if _loose(name) not in known]
    if len(ours) == len(theirs) and len(strange) < len(ours):
        raise InputError(
            f"the model's classes are {_listed(theirs)}, and {strange[0]!r} of the task {task!r} is none of them, "
            f"though others are ({_listed(ours)}); name the data's classes as the model does, or give a pre-trained "
            "model"
        )
    return None


def _loose(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


_KEYS: tuple[Callable[[str], str], ...] = (str, str.casefold, _loose)


def _tags(task: Task, ordered: list[str], numbers: NDArray[np.int64]) -> tuple[str, ...]:
    """Return the tag of each class; what a model has beside entities' tags, such as X or [SEP], is no entity."""
    if task.kind.name != "token-classification":
        return ()
    if entity_tags(task.label_names) is None or entity_tags(ordered) is not None:
        return tuple(ordered)
    return tuple(name if i in numbers else OUTSIDE for i, name in enumerate(ordered))


def _renumbered(split: Split, numbers: NDArray[np.int64]) -> NDArray[np.int64] | list[NDArray[np.int64]]:
    def of(labels: np.ndarray) -> NDArray[np.int64]:
        return np.where(labels < 0, labels, numbers[np.maximum(labels, 0)]).astype(np.int64)  # below 0: not said

    return [of(labels) for labels in split.labels] if isinstance(split.labels, list) else of(np.asarray(split.labels))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
