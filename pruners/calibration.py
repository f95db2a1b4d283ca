"""Texts that a method may look at: drawn from the training split, never from those that are scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..supernet import Supernet
from ..tasks import Task
from ..tasks.batches import Batch, collate, training_order


def calibration_batches(
    supernet: Supernet, task: Task, texts: int, rng: np.random.Generator, *, batch_size: int = 32
) -> Iterator[Batch]:
    """Draw texts of the training split without replacement; return them in batches, built as they are asked for.

    Texts of a batch are of similar length, so that little is padded, and the batches in random order. Where texts have
    queries, whole ones are drawn, as in training: what a listwise loss teaches of one text alone is nothing.

    Args:
        supernet: on whose device the batches are.
        task: whose training split.
        texts: how many; all if the split has fewer.
        rng: decides which.
        batch_size: of each batch but the last.

    Raises:
        InputError: no texts.
    """
    count = min(texts, len(task.train))
    if count < 1:
        raise InputError(
            f"calibration needs at least 1 text of the training split, got {texts} of {len(task.train)}; give more"
        )
    if task.train.groups is not None:
        groups = _whole_queries(task, count, rng, batch_size)
    else:
        drawn = rng.choice(len(task.train), count, replace=False)
        drawn = drawn[np.argsort(task.train.lengths[drawn], kind="stable")]
        groups = [drawn[start : start + batch_size] for start in range(0, count, batch_size)]
    order = rng.permutation(len(groups))
    return (collate(task.train, groups[i], task.pad_token_id).to(supernet.device) for i in order)


def _whole_queries(task: Task, count: int, rng: np.random.Generator, batch_size: int) -> list[NDArray[np.int64]]:
    """Return batches of whole queries that together have about so many texts, and no fewer."""
    order = training_order(task.train, batch_size=batch_size, rng=rng)
    ends = np.cumsum([len(rows) for rows in order])
    return order[: int(np.searchsorted(ends, count)) + 1]
