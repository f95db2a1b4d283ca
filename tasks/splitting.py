"""Drawing rows so that every class keeps its share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from .rows import Rows

REPORT_FRACTION = 0.2  # of a single file


def report_origin(paths: Mapping[str, Path]) -> str:
    """Say where the report split of local files, by split, comes from."""
    if "validation" in paths:
        return f"the file {paths['validation'].name}"
    return f"a fifth of the file {paths['train'].name}, drawn by the seed"


@dataclass(frozen=True)
class Sizes:
    """How many rows of the published train split are used, and for what; of SQuAD's, a row is a question.

    Attributes:
        train_limit: most rows to train on; None takes all that are not held out.
        selection_fraction: part of the train split that is held out for search and pruning to choose on.
        selection_limit: most rows held out.
    """

    train_limit: int | None = None
    selection_fraction: float = 0.2
    selection_limit: int = 2048

    def __post_init__(self) -> None:
        if self.train_limit is not None and self.train_limit < 1:
            raise InputError(f"the limit of training rows must be at least 1, got {self.train_limit}")
        if not 0 < self.selection_fraction < 1:
            raise InputError(
                f"the fraction held out for selection must be between 0 and 1, got {self.selection_fraction}"
            )
        if self.selection_limit < 1:
            raise InputError(f"the limit of selection rows must be at least 1, got {self.selection_limit}")


def stratified(labels: np.ndarray, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw ``size`` of the `n` rows without repetition, in increasing order.

    A systematic sample of the rows sorted by label: each class gets its share, rounded up or down, and a regression's
    scores are spread alike.

    Args:
        labels: `(n,)`.
        size: 0 to n.
        rng: draws.
    """
    n = len(labels)
    order = rng.permutation(n)
    order = order[np.argsort(labels[order], kind="stable")]
    start = rng.integers(n) if n else 0
    return np.sort(order[(np.arange(size) * n + start) // max(size, 1)])


def split_off_selection(
    rows: Rows, sizes: Sizes, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the train split that are trained on and those that are selected on, both in order.

    The selection is drawn first, so it does not depend on the limit of training rows.

    Raises:
        InputError: too few rows for both, or a limit that leaves a single class.
    """
    strata, groups = rows.strata, rows.groups
    held_out = min(round(sizes.selection_fraction * len(rows)), sizes.selection_limit)
    if not 0 < held_out < len(rows):
        raise InputError(
            f"the train split has {len(rows)} rows, of which a selection fraction of {sizes.selection_fraction} "
            f"holds out {held_out}; both parts need rows, so add data or change the fraction"
        )
    selection = stratified(strata, held_out, rng) if groups is None else _whole_groups(groups, held_out, rng)
    train = np.setdiff1d(np.arange(len(rows)), selection)
    if not len(selection):
        raise InputError(
            f"each passage of the train split has more questions than the {held_out} that are to be held out; add data "
            "or hold out more"
        )
    if sizes.train_limit is not None and sizes.train_limit < len(train):
        train = train[stratified(strata[train], sizes.train_limit, rng)]
    if len(np.unique(strata[train])) < min(2, len(np.unique(strata))):
        raise InputError(
            f"the {len(train)} rows left for training all have one label; raise the limit of training rows, lower the "
            "selection fraction or add data"
        )
    return train, selection


def _whole_groups(groups: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw at most ``size`` of the `n` rows, in increasing order: groups in random order, each that still fits."""
    counts = np.bincount(groups)
    drawn = []
    for group in rng.permutation(len(counts)):
        if counts[group] <= size:
            drawn.append(group)
            size -= int(counts[group])
    return np.flatnonzero(np.isin(groups, drawn))
