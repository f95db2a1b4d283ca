"""Tokenised texts and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .neighbours import directions, nearest
from .passages import Passages
from .relations import Relations

Labels = NDArray[np.int64] | NDArray[np.float32] | list[NDArray[np.int64]]


@dataclass(frozen=True)
class Split:
    """Tokenised texts and their labels; special tokens included, nothing padded.

    A model has an *output* for each text, or for each of its tokens. The outputs of a split are one array `(R, C)`,
    text after text, in which padding never occurs.

    Attributes:
        input_ids: `n` arrays `(tokens,)` int32.
        token_type_ids: the same shapes; None for a tokenizer that makes none.
        labels: `(n,)` int64 (classification) or float32 (regression); `(n, C)` int64, 0 or 1 (multilabel); `(n, 2)`
            int64, the first and the last token of the answer (question answering); `n` arrays `(tokens,)` int64, -100
            where there is nothing to tell (token classification); `(n, C)` float32, the whole model's vectors, or
            `(n, 0)` as long as they are not known (embedding).
        per_token: there is an output for each token, not for each text.
        passages: for question answering, what turns tokens into answers; else None.
        tags: for token classification, the name of each class; else empty.
        groups: `(n,)` int64, for ranking the number of each text's query; else None.
        relations: for embedding, what its texts are to each other, if anything; rows that are taken are nothing to
            each other.

    Raises:
        ValueError: parts of different length.
    """

    input_ids: list[NDArray[np.int32]]
    token_type_ids: list[NDArray[np.int32]] | None
    labels: Labels
    per_token: bool = False
    passages: Passages | None = None
    tags: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    relations: Relations | None = None

    def __post_init__(self) -> None:
        sizes = {"input_ids": len(self.input_ids), "labels": len(self.labels)}
        if self.token_type_ids is not None:
            sizes["token_type_ids"] = len(self.token_type_ids)
        if self.groups is not None:
            sizes["groups"] = len(self.groups)
        if self.passages is not None:
            sizes["passages"] = len(self.passages)
        if len(set(sizes.values())) > 1:
            raise ValueError(f"the parts of a Split must have one length, got {sizes}")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: NDArray[np.int64]) -> Split:
        """Return the given rows, in their order."""
        types, labels, passages = self.token_type_ids, self.labels, self.passages
        return Split(
            [self.input_ids[i] for i in rows],
            None if types is None else [types[i] for i in rows],
            [labels[i] for i in rows] if isinstance(labels, list) else labels[rows],
            self.per_token,
            None if passages is None else passages.take(rows),
            self.tags,
            None if self.groups is None else self.groups[rows],
        )

    def whole_groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the given rows with all others of their queries, in order; the same rows where there are none."""
        return rows if self.groups is None else np.flatnonzero(np.isin(self.groups, self.groups[rows]))

    @property
    def examples(self) -> int:
        """What a metric counts: questions, whose contexts may take several texts, pairs or queries, else texts."""
        if self.groups is not None:
            return len(np.unique(self.groups))
        if self.relations is not None:
            return len(self.relations)
        return len(self) if self.passages is None else len(self.passages.contexts)

    @cached_property
    def nearest(self) -> NDArray[np.int64]:
        """The ten texts whose labels, vectors `(n, C)`, are in the direction that is nearest to a text's: `(n, 10)`."""
        return nearest(directions(np.asarray(self.labels)))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, `(n,)`."""
        return np.fromiter(map(len, self.input_ids), np.int64, count=len(self.input_ids))

    @cached_property
    def output_counts(self) -> NDArray[np.int64]:
        """Outputs of each text, `(n,)`."""
        return self.lengths if self.per_token else np.ones(len(self), np.int64)

    @cached_property
    def _output_ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.output_counts)

    def outputs_at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where the outputs of the texts at `rows` stand among the split's, text after text, `(R',)`."""
        if not self.per_token:
            return np.asarray(rows, np.int64)
        ends = self._output_ends[rows]
        counts = self.output_counts[rows]
        before = np.cumsum(counts) - counts
        return np.arange(counts.sum()) + np.repeat(ends - counts - before, counts)
