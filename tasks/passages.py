"""What turns spans of tokens into answers: the contexts that questions are asked about."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Passages:
    """The contexts of a split of question answering, whose rows are windows on them: a long one has several.

    Attributes:
        questions: `(n,)` int64, which question a row belongs to, a position in `contexts` and `answers`.
        spans: `n` arrays `(tokens, 2)` int32, the characters of the context where a token begins and before which it
            ends; -1 for tokens that are not of the context. Those of the context follow each other.
        contexts: of each question, `m`.
        answers: of each question the texts that are right, `m`; none for a question without an answer.
        unanswerable: a question may have no answer, as in SQuAD 2.0.
    """

    questions: NDArray[np.int64]
    spans: list[NDArray[np.int32]]
    contexts: tuple[str, ...]
    answers: tuple[tuple[str, ...], ...]
    unanswerable: bool

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, rows: NDArray[np.int64]) -> Passages:
        """Return the given rows with the questions they belong to, which keep their order."""
        kept, questions = np.unique(self.questions[rows], return_inverse=True)
        return Passages(
            questions.astype(np.int64),
            [self.spans[i] for i in rows],
            tuple(self.contexts[i] for i in kept),
            tuple(self.answers[i] for i in kept),
            self.unanswerable,
        )

    @cached_property
    def places(self) -> NDArray[np.int32]:
        """The spans of all rows, `(R, 2)`."""
        return np.concatenate(self.spans)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where the tokens of each row begin among all, `(n,)`."""
        counts = np.fromiter(map(len, self.spans), np.int64, count=len(self.spans))
        return np.cumsum(counts) - counts

    @cached_property
    def following(self) -> NDArray[np.int64]:
        """How many tokens of the context follow a token in its row, `(R,)`; -1 for tokens that are not of it."""
        position, inside = np.arange(len(self.places)), self.places[:, 1] >= 0
        last = np.maximum.reduceat(np.where(inside, position, -1), self.starts)
        counts = np.diff(self.starts, append=len(position))
        return np.where(inside, np.repeat(last, counts) - position, -1)
