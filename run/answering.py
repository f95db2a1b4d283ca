"""A run without labels: what the model that it begins with says stands in for them, and is kept in the run's folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import InputError
from ..evaluation.model_error import constant_error, model_outputs
from ..supernet.heads import stored_head
from ..supernet.stored.labels import class_names, head_labels
from ..tasks import KINDS, Kind, Task, Unlabelled
from ..tasks.cache import load_cached, store
from ..tasks.split import Split
from ..tasks.unlabelled import answered, answered_by, splits_of
from .settings.project import ProjectSettings
from .telling import Teller

_NAMES = {
    "regression": ("score",),
    "ranking": ("relevance",),
    "question-answering": ("start", "end"),
}  # of outputs that are no classes


def answers_of(
    project: ProjectSettings, source: str | Path, config: PreTrainedConfig, own: Task | None = None
) -> Unlabelled:
    """Return what a project's model says of its answers, which are to stand in for labels.

    Args:
        project: without labels.
        source: the model.
        config: its configuration.
        own: the task, if it is of the user's own making.

    Raises:
        InputError: a model without a task's head or with another one, or settings that only labels have a use for.
    """
    _check_settings(project)
    head = stored_head(config)
    if head is None or head_labels(source, head) is None:
        raise InputError(
            f"without labels the model's own answers are what smaller ones are held to, but {project.model} is only "
            "pre-trained: it has no head that a task has trained; give a fine-tuned model, or labels"
        )
    kind = _kind(project, config, [kind for kind in KINDS.values() if kind.head == head])
    if project.task == "ranking" and kind.name == "regression":  # the head does not tell a score from a number
        kind = KINDS["ranking"]
    if own is not None and own.kind.name != kind.name:
        raise InputError(
            f"the task {own.name!r} is a {own.kind.name}, but {project.model} is fine-tuned for {kind.name}; give a "
            "model that answers what the task asks"
        )
    return Unlabelled(kind.name, _NAMES.get(kind.name) or class_names(config))


def _check_settings(project: ProjectSettings) -> None:
    """Refuse settings that only labels have a use for, and a task that has no labels as it is."""
    if project.task == "embedding":
        raise InputError("the task embedding needs no labels as it is; leave `labels` out")
    for name in ("metric", "positive", "kind"):
        if getattr(project, name) is not None:
            raise InputError(
                f"`{name}` says how answers are held against labels, but `labels` is none: agreement with the model's "
                f"own answers is what is judged; leave `{name}` out, or give labels"
            )


def _kind(project: ProjectSettings, config: PreTrainedConfig, kinds: list[Kind]) -> Kind:
    """Return which of the kinds of a head a configuration means: transformers' rule where it does not say."""
    outputs = len(class_names(config))
    usual = "regression" if outputs == 1 else "single_label_classification"
    named = config.problem_type or usual
    found = next((kind for kind in kinds if kind.problem_type in (None, named)), None)
    if found is None:
        known = ", ".join(str(kind.problem_type) for kind in kinds)
        raise InputError(f"the problem_type of {project.model} is {named}, but known are {known}; give another model")
    return found


def with_answers(task: Task, model: PreTrainedModel, tell: Teller) -> Task:
    """Return a task whose labels are a model's answers.

    Args:
        task: whose texts are asked.
        model: in evaluation mode, where it is to run.
        tell: told how many texts are done.

    Raises:
        InputError: outputs that are no finite numbers, or the same answer to all texts.
    """
    texts = sum(map(len, splits_of(task).values()))
    done = 0
    with tell.progress("answers of the whole model") as tick:

        def outputs(split: Split) -> np.ndarray:
            nonlocal done
            tick(done, texts)
            found = model_outputs(model, split, pad_token_id=task.pad_token_id)
            if not np.isfinite(found).all():
                raise InputError("the model's outputs are not finite numbers; its weights are damaged, get it again")
            done += len(split)
            tick(done, texts)
            return found

        made = answered(task, outputs)
    for name, split in splits_of(made).items():
        if name != "train" and not constant_error(split, made.metric):
            raise InputError(
                f"the model answers the same to all {len(split)} texts of the {name} split; there is nothing that a "
                "smaller one could answer otherwise, so give texts of all kinds that it is for"
            )
    return made


def answers_path(folder: Path, task: Task, weights: str | None) -> Path:
    """Return where answers to the texts of a task are kept: they depend on these, and on the model's weights."""
    key = hashlib.sha256(f"{task.fingerprint} {weights}".encode()).hexdigest()[:16]
    return folder / "tokens" / f"answers-{key}.npz"


def kept_answers(path: Path, task: Task) -> Task | None:
    """Return a task with answers that are kept; None if there are none, or a damaged file."""
    stored = load_cached(path)
    return None if stored is None else answered_by(task, stored[0])


def keep_answers(path: Path, task: Task) -> None:
    """Keep a task's answers.

    Raises:
        InputError: a full disk, or a folder that cannot be written to.
    """
    store(path, splits_of(task), task.truncated)
