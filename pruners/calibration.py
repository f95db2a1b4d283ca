"""Texts that a method may look at: drawn from the training split, never from those that are scored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import InputError
from ..supernet import Supernet
from ..tasks import Task
from ..tasks.batches import Batch, collate


def calibration_batches(
    supernet: Supernet, task: Task, texts: int, rng: np.random.Generator, *, batch_size: int = 32
) -> Iterator[Batch]:
    """Draw texts of the training split without replacement; return them in batches, built as they are asked for.

    Texts of a batch are of similar length, so that little is padded, and the batches in random order.

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
    drawn = rng.choice(len(task.train), count, replace=False)
    drawn = drawn[np.argsort(task.train.lengths[drawn], kind="stable")]
    groups = [drawn[start : start + batch_size] for start in range(0, count, batch_size)]
    order = rng.permutation(len(groups))
    return (collate(task.train, groups[i], task.pad_token_id).to(supernet.device) for i in order)
