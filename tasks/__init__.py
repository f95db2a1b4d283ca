"""What a subnetwork is measured on: data, tokenised once, and a metric. Batches are in `tasks.batches`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError, unknown_name
from .cache import load_cached, store
from .demo import load_demo
from .demo_model import demo_model_folder
from .embedding import load_embedding
from .examples import Examples, Retrieval
from .fingerprint import fingerprint
from .glue import GLUE, load_glue
from .kinds import KINDS, Head, Kind
from .local import load_local
from .metrics import METRICS, Metric, f1_of
from .rows import Columns, Rows, TaskTexts
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
    "TASKS",
    "Columns",
    "Head",
    "Kind",
    "Metric",
    "Sizes",
    "Split",
    "Task",
    "Windows",
    "demo_model_folder",
    "load_task",
]

Loader = Callable[[Path | None, Columns, int], TaskTexts]  # data, columns, seed


def _glue(name: str, data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_glue(name, data)  # its columns are published and its splits are not drawn


def _squad(name: str, data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_squad(name, data, columns.metric)


def _demo(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_demo(data)


TASKS: dict[str, Loader] = {
    "demo": _demo,
    "embedding": load_embedding,
    "local": load_local,
    "tagging": load_tagging,
    **{name: partial(_glue, name) for name in GLUE},
    **{name: partial(_squad, name) for name in SQUAD},
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
    prompts: Mapping[str, str] | None = None,
) -> Task:
    """Load a task, hold out its selection split and tokenise it.

    Args:
        name: a name of TASKS.
        tokenizer: the model's.
        seed: draws the selection split, the training rows if they are limited, and the report split of a single file.
            Rows keep the order of the file.
        max_length: most tokens of a text, special ones included: the positions the model has.
        data: a folder or file to read instead of the hub; the tasks "local" and "tagging" need it.
        columns: what the columns of local files mean.
        sizes: how many rows are used; questions where a task has those, and none of the selection is about a context
            that is trained on.
        windows: how long contexts of questions are cut into several texts.
        prompts: what a model for embedding wants before its texts, by their role; see `supernet.sentence`.
        cache: a folder that keeps the tokenised splits; a damaged file in it is made again.

    Raises:
        InputError: an unknown task, or data, columns or a tokenizer that cannot be used; the message says why.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    columns, sizes, windows = columns or Columns(), sizes or Sizes(), windows or Windows()
    if columns.positive is not None and name != "local":
        raise InputError(
            f"`positive` names the class whose F1 is told of local files, but the task is {name}; leave it out"
        )
    loaded = TASKS[name](None if data is None else Path(data), columns, seed)
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
    return Task(
        name=name,
        kind=KINDS[loaded.kind],
        label_names=loaded.label_names,
        metric=f1_of(loaded.positive) if loaded.metric == "f1" else METRICS[loaded.metric],
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
        positive=loaded.positive,
    )
