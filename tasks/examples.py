"""Texts that a vector is made of each: alone, in pairs that are more or less alike, or as queries and documents."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .relations import Pairs, Relevance
from .split import Split
from .texts import Texts, wordings_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .windows import Windows


@dataclass(frozen=True)
class Examples:
    """`n` texts, or pairs of texts with a score each; every text is read by itself.

    Attributes:
        first: the texts, or the first ones of pairs.
        second: the second ones; None for texts alone.
        scores: `(n,)` float64 of pairs; None for texts alone.
        role: which of a model's prompts they get: "" for the usual one, or `document`.
    """

    first: list[str]
    second: list[str] | None = None
    scores: NDArray[np.float64] | None = None
    role: str = ""

    is_pair = False

    def __len__(self) -> int:
        return len(self.first)

    def take(self, index: NDArray[np.int64]) -> Examples:
        """Return the rows at ``index``, in that order."""
        second = None if self.second is None else [self.second[i] for i in index]
        scores = None if self.scores is None else self.scores[index]
        return replace(self, first=[self.first[i] for i in index], second=second, scores=scores)

    def prompted(self, prompts: Mapping[str, str]) -> Examples:
        """Return the texts behind their prompt, given by role."""
        first, second = (
            None if texts is None else [prompts[self.role] + text for text in texts]
            for texts in (self.first, self.second)
        )
        return replace(self, first=first, second=second)

    @property
    def groups(self) -> None:
        """None: rows are of no groups."""

    @property
    def strata(self) -> np.ndarray:
        """Scores are spread alike; texts alone are all alike."""
        return np.zeros(len(self)) if self.scores is None else self.scores

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The texts; those of a pair in one order, whichever came first."""
        return wordings_of(self.first, self.second)

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return texts and scores as bytes."""
        yield json.dumps([name, self.first, self.second]).encode()
        yield b"" if self.scores is None else self.scores.tobytes()

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised split, the texts of a pair one after the other, and how many texts were cut."""
        texts = self.first
        if self.second is not None:
            texts = [text for pair in zip(self.first, self.second, strict=True) for text in pair]
        split, cut = _alone(texts, tokenizer, max_length, windows)
        return split if self.scores is None else replace(split, relations=Pairs(self.scores)), cut


@dataclass(frozen=True)
class Retrieval:
    """Queries, and documents that are more or less relevant to them; reported on as a whole.

    Attributes:
        queries: the texts, `m`.
        documents: the texts.
        grades: of each query, see `Relevance`.
    """

    queries: list[str]
    documents: list[str]
    grades: tuple[Mapping[int, float], ...]

    is_pair = False

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, index: NDArray[np.int64]) -> Retrieval:
        """Return the queries at ``index``, in that order, with all documents."""
        return Retrieval([self.queries[i] for i in index], self.documents, tuple(self.grades[i] for i in index))

    def prompted(self, prompts: Mapping[str, str]) -> Retrieval:
        """Return the texts behind their prompts, given by role."""
        queries, documents = (
            [prompts[role] + text for text in texts]
            for role, texts in (("query", self.queries), ("document", self.documents))
        )
        return replace(self, queries=queries, documents=documents)

    @property
    def groups(self) -> None:
        """None: queries are of no groups."""

    @property
    def strata(self) -> np.ndarray:
        """All alike."""
        return np.zeros(len(self))

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The queries."""
        return [(text,) for text in self.queries]

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return all texts and grades as bytes."""
        yield json.dumps([name, self.queries, self.documents, [sorted(one.items()) for one in self.grades]]).encode()

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised split, the queries before the documents, and how many texts were cut."""
        split, cut = _alone([*self.queries, *self.documents], tokenizer, max_length, windows)
        return replace(split, relations=Relevance(self.grades)), cut


def _alone(
    texts: list[str], tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows
) -> tuple[Split, int]:
    """Tokenise texts; their vectors are not known."""
    split, cut = Texts(texts, None, np.zeros(len(texts), np.float32)).tokenised(tokenizer, max_length, windows)
    return replace(split, labels=np.zeros((len(texts), 0), np.float32)), cut
