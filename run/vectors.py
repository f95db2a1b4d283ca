"""The whole model's vectors of a task's texts, which others are held against and learn from: made once, then kept."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ..evaluation.model_error import model_outputs
from ..files import replace_file
from ..tasks import Split, Task
from .telling import SILENT, Teller

Vectors = dict[str, np.ndarray]  # by the names of `splits_of`


def with_vectors(
    task: Task, load: Callable[[], PreTrainedModel], path: Path | None = None, tell: Teller = SILENT
) -> Task:
    """Return a task of vectors with those that the whole model makes as its labels; other tasks as they are.

    Args:
        task: tokenised.
        load: loads the whole model, on the device that it is to run on.
        path: a file that keeps them; a damaged one is made again. None keeps nothing.
        tell: told how far it is.
    """
    if task.kind.name != "embedding":
        return task
    splits = splits_of(task)
    known = None if path is None else _read(path, splits)
    if known is None:
        known, model = {}, load()
        with tell.progress("the whole model's vectors") as tick:
            for done, (name, split) in enumerate(splits.items(), 1):
                known[name] = model_outputs(model, split, pad_token_id=task.pad_token_id)
                tick(done, len(splits), name)
        if path is not None:
            keep_vectors(known, path)
    return labelled(task, known)


def splits_of(task: Task) -> dict[str, Split]:
    """Return all splits of a task by names that are their own."""
    return {"train": task.train, "selection": task.selection} | {f"report/{k}": one for k, one in task.report.items()}


def labelled(task: Task, known: Vectors) -> Task:
    """Return a task of vectors with these as its labels."""
    parts = {name: replace(split, labels=known[name]) for name, split in splits_of(task).items()}
    report = {name: parts[f"report/{name}"] for name in task.report}
    return replace(task, train=parts["train"], selection=parts["selection"], report=report)


def vectors_of(task: Task) -> Vectors:
    """Return the vectors that are a task's labels."""
    return {name: np.asarray(split.labels) for name, split in splits_of(task).items()}


def keep_vectors(known: Vectors, path: Path) -> None:
    """Write vectors to a file, which holds nothing or all of them at any time.

    Raises:
        InputError: a full disk, or a folder that cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(path) as part, part.open("wb") as file:
        np.savez(file, **known)  # pyright: ignore[reportArgumentType]


def _read(path: Path, splits: dict[str, Split]) -> Vectors | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            known = {name: stored[name] for name in splits}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return known if all(len(known[name]) == len(split) for name, split in splits.items()) else None
