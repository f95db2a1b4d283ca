"""What a subnetwork is measured on: data, tokenised once, and a metric. Batches are in `tasks.batches`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, unknown_name
from .agreement import agreement
from .cache import load_cached, store
from .demo import load_demo
from .demo_model import demo_model_folder
from .embedding import load_embedding
from .examples import Examples, Retrieval
from .fingerprint import fingerprint
from .glue import GLUE, load_glue
from .kinds import KINDS, Head, Kind
from .local import load_local
from .metrics import METRICS, Metric, metric_name, metric_of
from .multilabel import load_multilabel
from .own import Teaching, check_own_metric, taught
from .ranking import load_ranking
from .rows import Columns, Rows, TaskTexts, Unlabelled
from .split import Split
from .splitting import Sizes, split_off_selection
from .squad import SQUAD, load_squad
from .tagging import load_tagging
from .task import Task
from .tokenisation import check_tokenizer
from .windows import Windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = [
    "KINDS",
    "METRICS",
    "OF_CLASSES",
    "TASKS",
    "Columns",
    "Head",
    "Kind",
    "Metric",
    "Sizes",
    "Split",
    "Task",
    "Teaching",
    "Unlabelled",
    "Windows",
    "demo_model_folder",
    "load_task",
]

OF_CLASSES = ("local", "multilabel")  # tasks whose classes the user names
Loader = Callable[[Path | None, Columns, int], TaskTexts]  # data, columns, seed


def _glue(name: str, data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    loaded = load_glue(name, data, columns.unlabelled)  # its columns are published and its splits are not drawn
    if columns.unlabelled is not None:
        return loaded
    metric = metric_name(columns.metric, loaded.kind, loaded.metric)
    if len(loaded.label_names) > 2 and metric in METRICS and METRICS[metric].positive is not None:
        raise InputError(
            f"the metric {metric} is of one of two classes, but {name} has more; use macro_f1, or accuracy"
        )
    return replace(loaded, metric=metric)


def _squad(name: str, data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_squad(name, data, columns.metric, columns.unlabelled, columns.group)


def _demo(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_demo(data, columns.unlabelled)


TASKS: dict[str, Loader] = {
    "demo": _demo,
    "embedding": load_embedding,
    "local": load_local,
    "multilabel": load_multilabel,
    "ranking": load_ranking,
    "tagging": load_tagging,
    **{name: partial(_glue, name) for name in GLUE},
    **{name: partial(_squad, name) for name in SQUAD},
}

# Tasks that are called as their kind is: what a model must be to answer in the place of labels.
_KINDS = {
    "multilabel": "whose problem_type is multi_label_classification",
    "ranking": "with a single output, a score",
}
# What models of these tasks have a head for; of all others, for texts.
_HEADS: dict[str, Head] = {
    "tagging": "token-classification",
    "embedding": "embedding",
    **dict.fromkeys(SQUAD, "question-answering"),
}


def load_task(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    max_length: int,
    data: Path | str | None = None,
    columns: Columns | None = None,
    sizes: Sizes | None = None,
    windows: Windows | None = None,
    cache: Path | str | None = None,
    teaching: Teaching | None = None,
    prompts: Mapping[str, str] | None = None,
) -> Task:
    """Load a task, hold out its selection split and tokenise it.

    Args:
        name: a name of TASKS.
        tokenizer: the model's.
        seed: draws the selection split, the training rows if they are limited, and the report split of a single file.
            Rows keep the order of the file.
        max_length: most tokens of a text, special ones included: the positions the model has.
        data: a folder or file to read instead of the hub; tasks from local files need it.
        columns: what the columns of local files mean.
        sizes: how many rows are used; questions where a task has those, and none of the selection is about a context
            that is trained on.
        windows: how long contexts of questions are cut into several texts.
        prompts: what a model for embedding wants before its texts, by their role; see `supernet.sentence`.
        cache: a folder that keeps the tokenised splits; a damaged file in it is made again.
        teaching: what labels teach, if not what is usual.

    Raises:
        InputError: an unknown task, or data, columns or a tokenizer that cannot be used; the message says why.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    columns, sizes, windows = columns or Columns(), sizes or Sizes(), windows or Windows()
    _check_columns(name, columns)
    loaded = TASKS[name](None if data is None else Path(data), columns, seed)
    metric = _metric(loaded, columns)
    if columns.precision is not None and metric.floor is None:
        raise InputError(
            f"the precision {columns.precision:g} is one to ask for a recall at, but the metric is {metric.name}; set "
            "it to recall_at_precision, or leave the precision out"
        )
    pad_token_id = check_tokenizer(tokenizer, max_length, loaded.train.is_pair)
    if windows != Windows() and loaded.kind != "question-answering":
        raise InputError(
            f"only contexts of questions are cut into windows, but {name} is a {loaded.kind}; leave their length and "
            "stride out"
        )

    divided = split_off_selection(loaded.train, sizes, np.random.default_rng(seed))
    texts = {"train": loaded.train.take(divided.kept), "selection": loaded.train.take(divided.held_out)} | loaded.report
    if prompts is not None:
        texts: dict[str, Rows] = {
            split: part.prompted(prompts) for split, part in texts.items() if isinstance(part, Examples | Retrieval)
        }
    described = [name, loaded.kind, loaded.label_names, loaded.metric, asdict(sizes), seed]
    described += [asdict(windows)] if windows != Windows() else []
    key = fingerprint(texts, tokenizer, max_length, described)
    path = None if cache is None else Path(cache) / f"{name}-{key}.npz"
    stored = None if path is None else load_cached(path)
    if stored is None:
        parts = {split: part.tokenised(tokenizer, max_length, windows) for split, part in texts.items()}
        stored = {split: part for split, (part, _) in parts.items()}, sum(cut for _, cut in parts.values())
        if path is not None:
            store(path, *stored)
    splits, truncated = stored
    num_labels = len(loaded.label_names)
    if metric.name not in METRICS and columns.unlabelled is None:
        check_own_metric(metric, splits["selection"], num_labels)
    return Task(
        name=name,
        kind=taught(KINDS[loaded.kind], teaching or Teaching(), splits["train"], num_labels, pad_token_id),
        label_names=loaded.label_names,
        metric=metric,
        train=splits["train"],
        selection=splits["selection"],
        report={split: splits[split] for split in loaded.report},
        pad_token_id=pad_token_id,
        truncated=truncated,
        fingerprint=key,
        is_pair=loaded.train.is_pair,
        report_origin=loaded.report_origin,
        alike=divided.alike,
        left_out=divided.left_out,
        positive=1 if loaded.positive is None else loaded.positive,
    )


def _metric(loaded: TaskTexts, columns: Columns) -> Metric:
    if columns.unlabelled is not None:
        return agreement(KINDS[loaded.kind])
    return metric_of(loaded.metric, loaded.kind, loaded.positive, columns.precision)


def _check_columns(name: str, columns: Columns) -> None:
    """Refuse what a task has no use for."""
    if columns.positive is not None and name not in OF_CLASSES:
        raise InputError(
            f"`positive` names the class whose F1 is told of local files, but the task is {name}; leave it out"
        )
    if columns.group is not None and (name in ("demo", "embedding") or name in GLUE):
        raise InputError(
            f"`group_column` names a column of local files with labels or of questions, but the task is {name}; leave "
            "it out"
        )
    if columns.unlabelled is not None:
        _check_head(name, columns.unlabelled)


def _check_head(task: str, model: Unlabelled) -> None:
    """Refuse a model that a task's rows cannot be asked of; texts can be, whatever its one output for each means."""
    if task in _KINDS and model.kind != task:
        raise InputError(
            f"without labels the task {task} needs a model {_KINDS[task]}, but this one is fine-tuned for "
            f"{model.kind}; take the task local, or another model"
        )
    head = KINDS[model.kind].head
    if _head(task) != head:
        fitting = ", ".join(one for one in sorted(set(TASKS) - _KINDS.keys()) if _head(one) == head)
        raise InputError(
            f"without labels the task {task} needs a model with a head for {_head(task)}, but this one has a head for "
            f"{head}; take one of {fitting}"
        )


def _head(task: str) -> Head:
    return _HEADS.get(task, "sequence-classification")
