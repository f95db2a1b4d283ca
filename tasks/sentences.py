"""Sentences with a tag for each word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .kinds import UNLABELLED
from .offsets import mended
from .split import Split
from .texts import hashed_groups
from .tokenisation import check_offsets

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .windows import Windows

_CHUNK = 1000  # sentences that are tokenised together; a tokenizer's own lists take far more memory than arrays


@dataclass(frozen=True)
class Sentences:
    """`n` sentences.

    Attributes:
        words: of each sentence.
        tags: `n` arrays `(words,)` int64, a position in `names` for each word.
        names: of all tags.
        groups: `(n,)` int64, of each sentence; None if they are of none.
    """

    words: list[list[str]]
    tags: list[NDArray[np.int64]]
    names: tuple[str, ...]
    groups: NDArray[np.int64] | None = None

    is_pair = False

    def __len__(self) -> int:
        return len(self.words)

    def take(self, index: NDArray[np.int64]) -> Sentences:
        """Return the sentences at ``index``, in that order."""
        groups = None if self.groups is None else self.groups[index]
        return Sentences([self.words[i] for i in index], [self.tags[i] for i in index], self.names, groups)

    @property
    def strata(self) -> np.ndarray:
        """All alike."""
        return np.zeros(len(self), np.int64)

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The sentences."""
        return [(" ".join(words),) for words in self.words]

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return words and tags as bytes."""
        yield json.dumps([name, self.words, self.names]).encode()
        yield np.concatenate(self.tags).tobytes()
        yield from hashed_groups(self.groups)

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised split, and how many sentences were cut to ``max_length`` tokens.

        A word's tag is the label of its first token; the others, and special tokens, have none. Words that were cut
        away, or of which a tokenizer makes no token, are not judged.
        """
        check_offsets(tokenizer)
        has_types = "token_type_ids" in tokenizer.model_input_names
        ids, types, labels, cut = [], [], [], 0
        for start in range(0, len(self), _CHUNK):
            words, tags = self.words[start : start + _CHUNK], self.tags[start : start + _CHUNK]
            # One text, not a list of words: so every tokenizer sees words as it does in any text, after a space.
            texts = [" ".join(line) for line in words]
            chunk = tokenizer(texts, truncation=True, max_length=max_length)
            for i, (line, known) in enumerate(zip(words, tags, strict=True)):
                found = chunk[i]
                ids.append(np.array(found.ids, np.int32))
                types.append(np.array(found.type_ids, np.int32))
                spans, special = np.array(found.offsets, np.int32), np.array(found.special_tokens_mask, bool)
                spans[~special] = mended(texts[i], spans[~special])
                labels.append(_labels(line, known, spans, special))
                cut += bool(found.overflowing)
        return Split(ids, types if has_types else None, labels, per_token=True, tags=self.names), cut


def _labels(
    words: list[str], tags: NDArray[np.int64], spans: NDArray[np.int32], special: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the labels `(tokens,)`, given the characters `(tokens, 2)` of the words joined by spaces."""
    begins = np.array([0, *accumulate(len(word) + 1 for word in words)])[:-1]
    labels = np.full(len(spans), UNLABELLED, np.int64)
    real = np.flatnonzero(~special & (spans[:, 1] > spans[:, 0]))
    word = np.searchsorted(begins, spans[real, 1] - 1, side="right") - 1  # that of a token's last character
    each, first = np.unique(word, return_index=True)
    labels[real[first]] = tags[each]
    return labels
