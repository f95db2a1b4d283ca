"""What a subnetwork is measured on: data, tokenised once, and a metric. Batches are in `tasks.batches`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import unknown_name
from .demo import load_demo
from .demo_model import demo_model_folder
from .glue import GLUE, load_glue
from .local import load_local
from .splitting import Sizes, split_off_selection
from .task import METRICS, Metric, Split, Task
from .texts import Columns, TaskTexts
from .tokenisation import check_tokenizer, fingerprint, load_cached, store, tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["METRICS", "TASKS", "Columns", "Metric", "Sizes", "Split", "Task", "demo_model_folder", "load_task"]

Loader = Callable[[Path | None, Columns, int], TaskTexts]  # data, columns, seed


def _glue(name: str, data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_glue(name, data)  # its columns are published and its splits are not drawn


def _demo(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    return load_demo(data)


TASKS: dict[str, Loader] = {
    "demo": _demo,
    "local": load_local,
    **{name: partial(_glue, name) for name in GLUE},
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
    cache: Path | str | None = None,
) -> Task:
    """Load a task, hold out its selection split and tokenise it.

    Args:
        name: a name of TASKS.
        tokenizer: the model's.
        seed: draws the selection split, the training rows if they are limited, and the report split of a single file.
            Rows keep the order of the file.
        max_length: most tokens of a text, special ones included: the positions the model has.
        data: a folder or file to read instead of the hub; the task "local" needs it.
        columns: what the columns of local files mean.
        sizes: how many rows are used.
        cache: a folder that keeps the tokenised splits; a damaged file in it is made again.

    Raises:
        InputError: an unknown task, or data, columns or a tokenizer that cannot be used; the message says why.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    columns, sizes = columns or Columns(), sizes or Sizes()
    loaded = TASKS[name](None if data is None else Path(data), columns, seed)
    is_pair = loaded.train.second is not None
    pad_token_id = check_tokenizer(tokenizer, max_length, is_pair)

    rows, held_out = split_off_selection(loaded.train.labels, sizes, np.random.default_rng(seed))
    texts = {"train": loaded.train.take(rows), "selection": loaded.train.take(held_out)} | loaded.report
    described = [name, loaded.kind, loaded.label_names, loaded.metric, asdict(sizes), seed]
    key = fingerprint(texts, tokenizer, max_length, described)
    path = None if cache is None else Path(cache) / f"{name}-{key}.npz"
    stored = None if path is None else load_cached(path)
    if stored is None:
        parts = {split: tokenise(part, tokenizer, max_length) for split, part in texts.items()}
        stored = {split: part for split, (part, _) in parts.items()}, sum(cut for _, cut in parts.values())
        if path is not None:
            store(path, *stored)
    splits, truncated = stored
    return Task(
        name=name,
        kind=loaded.kind,
        label_names=loaded.label_names,
        metric=METRICS[loaded.metric],
        train=splits["train"],
        selection=splits["selection"],
        report={split: splits[split] for split in loaded.report},
        pad_token_id=pad_token_id,
        truncated=truncated,
        fingerprint=key,
        is_pair=is_pair,
    )
