"""Texts with a label each, and their tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .kinds import KindName
from .split import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .windows import Windows


@dataclass(frozen=True)
class Texts:
    """Texts with what is said of them: `n` texts, `n` second texts or None, labels `(n,)` int64 or float32.

    Groups are `(n,)` int64, or None. Where a text may have several of C labels, they are `(n, C)` int64, 0 or 1.
    """

    first: list[str]
    second: list[str] | None
    labels: NDArray[np.int64] | NDArray[np.float32]
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.int64]) -> Texts:
        """Return the rows at ``index``, in that order."""
        second = None if self.second is None else [self.second[i] for i in index]
        groups = None if self.groups is None else self.groups[index]
        return Texts([self.first[i] for i in index], second, self.labels[index], groups)

    @property
    def is_pair(self) -> bool:
        """There are second texts."""
        return self.second is not None

    @property
    def strata(self) -> np.ndarray:
        """The labels: each class keeps its share, and a regression's scores are spread alike.

        Of several labels it is the one that fewest texts have, so that rare ones keep their shares.
        """
        if self.labels.ndim == 1:
            return self.labels
        seldom = np.argsort(self.labels.sum(axis=0), kind="stable")
        ordered = self.labels[:, seldom] > 0
        return np.where(ordered.any(axis=1), ordered.argmax(axis=1), len(seldom))

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The texts; those of a pair in one order, whichever came first."""
        return wordings_of(self.first, self.second)

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return texts and labels as bytes."""
        yield json.dumps([name, self.first, self.second]).encode()
        yield str(self.labels.dtype).encode() + self.labels.tobytes()
        yield from hashed_groups(self.groups)

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised split, and how many texts were cut to ``max_length`` tokens."""
        encoded = self._encoded(tokenizer)
        rows, types = encoded["input_ids"], encoded.get("token_type_ids")
        long = np.array([i for i, row in enumerate(rows) if len(row) > max_length], np.int64)
        if len(long):  # a second pass over the few: a tokenizer does not say by itself what it has cut
            cut = self.take(long)._encoded(tokenizer, max_length)
            for position, i in enumerate(long):
                rows[i] = cut["input_ids"][position]
                if types is not None:
                    types[i] = cut["token_type_ids"][position]
        return Split(_arrays(rows), None if types is None else _arrays(types), self.labels), len(long)

    def _encoded(self, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None) -> dict[str, list[list[int]]]:
        encoded = tokenizer(
            self.first,
            self.second,
            truncation=max_length is not None,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
            verbose=False,  # no word about texts that are too long: they are counted and cut
        )
        return dict(encoded)  # pyright: ignore[reportReturnType]


def hashed_groups(groups: NDArray[np.int64] | None) -> Iterator[bytes]:
    """Return groups as bytes; none where there are none."""
    if groups is not None:
        yield b"groups" + groups.tobytes()


def wordings_of(first: list[str], second: list[str] | None) -> list[tuple[str, ...]]:
    """Return texts; those of a pair in one order, whichever came first."""
    if second is None:
        return [(text,) for text in first]
    return [(min(pair), max(pair)) for pair in zip(first, second, strict=True)]


def no_labels(kind: KindName, rows: int, outputs: int) -> NDArray[np.int64] | NDArray[np.float32]:
    """Return what stands for the labels of so many texts that have none, as in GLUE's test splits."""
    if kind == "multilabel":
        return np.full((rows, outputs), -1, np.int64)
    return np.full(rows, np.nan, np.float32) if kind == "regression" else np.full(rows, -1, np.int64)


def _arrays(rows: list[list[int]]) -> list[np.ndarray]:
    return [np.array(row, np.int32) for row in rows]
