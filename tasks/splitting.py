"""Drawing rows so that every class keeps its share, and no two splits share a text."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .near_duplicates import NearDuplicates

if TYPE_CHECKING:
    from .rows import Rows

REPORT_FRACTION = 0.2  # of a single file


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


@dataclass(frozen=True)
class Divided:
    """The rows of a table on two sides, none of which is a near-duplicate of one on the other side.

    Attributes:
        kept: rows, in order.
        held_out: rows, in order.
        alike: share of all rows that are equal to another one, or part of it.
        left_out: how many rows are on neither side, being part of rows on both, or of some of other groups there.
    """

    kept: NDArray[np.int64]
    held_out: NDArray[np.int64]
    alike: float
    left_out: int


def divide(rows: Rows, fraction: float, limit: int | None, rng: np.random.Generator) -> Divided:
    """Hold out a part of some rows.

    So many texts are drawn as would be drawn of rows, from those that are not part of others, stratified; what is part
    of them only is held out, too. Of more than are wanted, those texts go first: what is asked of a model later are
    seldom pieces of texts.

    Rows with groups come to the side of their group, see :func:`_by_groups`.

    Args:
        rows: `n` of them.
        fraction: of the rows to hold out.
        limit: most rows to hold out.
        rng: draws.
    """
    n, near = len(rows), NearDuplicates.among(rows.wordings)
    most = round(fraction * n) if limit is None else min(round(fraction * n), limit)
    if rows.groups is not None:
        return _by_groups(rows.groups, near, most, rng)
    texts = min(most, max(1, round(fraction * len(near.whole))))
    drawn = near.whole[stratified(rows.strata[near.whole], texts, rng)]
    inside, outside = near.sides(drawn, n)
    rest = np.setdiff1d(np.flatnonzero(inside), drawn)
    more = min(most - len(drawn), len(rest))
    held_out = np.sort(np.append(drawn, rest[stratified(rows.strata[rest], more, rng)]))
    return Divided(np.flatnonzero(outside), held_out, near.share(n), n - int(inside.sum() + outside.sum()))


def _by_groups(groups: NDArray[np.int64], near: NearDuplicates, most: int, rng: np.random.Generator) -> Divided:
    """Hold out whole groups, drawn in random order as long as they fit; the smallest one if none does.

    A row that is equal to one of another group, or part of it, stays only if all that it is part of is on its own
    group's side: so no text is on both.

    Args:
        groups: `(n,)`, of each row.
        near: the rows' near-duplicates.
        most: rows to hold out.
        rng: draws.
    """
    sizes = np.bincount(groups)
    drawn, left = [], most
    for group in rng.permutation(len(sizes)):
        if sizes[group] <= left:
            drawn.append(group)
            left -= sizes[group]
    if not drawn and len(sizes) > 1:
        drawn = [sizes.argmin()]
    held = np.isin(groups, drawn)
    inside, outside = near.sides(near.whole[held[near.whole]], len(groups))
    held_out, kept = np.flatnonzero(inside & held), np.flatnonzero(outside & ~held)
    return Divided(kept, held_out, near.share(len(groups)), len(groups) - len(held_out) - len(kept))


def split_off_selection(rows: Rows, sizes: Sizes, rng: np.random.Generator) -> Divided:
    """Return the rows of the train split that are trained on (kept) and those that are selected on (held out).

    The selection is drawn first, so it does not depend on the limit of training rows.

    Raises:
        InputError: too few rows for both, or a limit that leaves a single class.
    """
    divided = divide(rows, sizes.selection_fraction, sizes.selection_limit, rng)
    strata, train = rows.strata, divided.kept
    if rows.groups is not None and len(np.unique(rows.groups)) < 2:
        raise InputError(
            f"the {len(rows)} rows of the train split are of one group, which is on one side of a split only; name "
            "another column of groups, or add data"
        )
    if not (len(divided.held_out) and len(train)):
        raise InputError(
            f"the train split has {len(rows)} rows, of which a selection fraction of {sizes.selection_fraction} "
            f"holds out {len(divided.held_out)} and leaves {len(train)}; both parts need rows that are not alike, so "
            "add data or change the fraction"
        )
    if sizes.train_limit is not None and sizes.train_limit < len(train):
        train = train[stratified(strata[train], sizes.train_limit, rng)]
    if len(np.unique(strata[train])) < min(2, len(np.unique(strata))):
        raise InputError(
            f"the {len(train)} rows left for training all have one label; raise the limit of training rows, lower the "
            "selection fraction or add data"
        )
    return replace(divided, kept=train)
