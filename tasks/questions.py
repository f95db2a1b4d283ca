"""Questions about contexts, tokenised as windows where a context is longer than a model reads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .offsets import mended
from .passages import Passages
from .split import Split
from .texts import hashed_groups
from .tokenisation import check_offsets
from .windows import Windows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CHUNK = 1000  # texts that are tokenised together; a tokenizer's own lists take far more memory than arrays


@dataclass(frozen=True)
class Questions:
    """`n` questions, the context of each, the texts that answer it, and where the first of them stands.

    Attributes:
        questions: `n`.
        contexts: `n`.
        answers: `n`; empty for a question without an answer.
        spans: `(n, 2)` int64, characters of the context where the first answer begins and before which it ends; -1
            for a question without an answer.
        unanswerable: questions may have no answer.
        groups: `(n,)` int64, of each question; None if they are of none but their context's.
    """

    questions: list[str]
    contexts: list[str]
    answers: list[tuple[str, ...]]
    spans: NDArray[np.int64]
    unanswerable: bool
    groups: NDArray[np.int64] | None = None

    is_pair = True

    def __len__(self) -> int:
        return len(self.questions)

    def take(self, index: NDArray[np.int64]) -> Questions:
        """Return the questions at ``index``, in that order."""
        return Questions(
            [self.questions[i] for i in index],
            [self.contexts[i] for i in index],
            [self.answers[i] for i in index],
            self.spans[index],
            self.unanswerable,
            None if self.groups is None else self.groups[index],
        )

    @property
    def strata(self) -> np.ndarray:
        """All alike."""
        return np.zeros(len(self), np.int64)

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The contexts: what is known of one would help with its other questions."""
        return [(context,) for context in self.contexts]

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return questions, contexts and answers as bytes."""
        contexts, asked = _numbered(self.contexts)
        yield json.dumps([name, self.questions, contexts, self.answers, self.unanswerable]).encode()
        yield asked.tobytes() + self.spans.tobytes()
        yield from hashed_groups(self.groups)

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the windows of all questions, question after question, and how many questions were cut.

        Questions are whole in all their windows, unless one is longer than half a window: then its end is cut. Two
        windows never share more than half of their context, however long a question is. A window that does not hold
        the whole answer, and a question without one, point to the first token.
        """
        check_offsets(tokenizer)
        frame = _frame(tokenizer)
        length, stride = windows.within(max_length, frame.special)
        texts, context_of = _numbered(self.contexts)
        contexts, asked = _encoded(tokenizer, texts), _encoded(tokenizer, self.questions)
        longest = (length - frame.special) // 2
        ids, types, spans, labels, rows = [], [], [], [], []
        for i, question in enumerate(asked):
            context = contexts[context_of[i]]
            words = question.ids[:longest]
            answer = _tokens_of(context, self.spans[i])
            first = frame.context_begins(len(words))
            for begin, end in _windows(len(context.ids), length - frame.special - len(words), stride):
                ids.append(frame.around(words, context.ids[begin:end]))
                types.append(frame.types_around(len(words), end - begin))
                places = np.full((len(ids[-1]), 2), -1, np.int32)
                places[first : first + end - begin] = context.spans[begin:end]
                spans.append(places)
                inside = answer is not None and begin <= answer[0] and answer[1] < end
                labels.append([first + token - begin for token in answer] if answer and inside else [0, 0])
                rows.append(i)
        split = Split(
            ids,
            types if "token_type_ids" in tokenizer.model_input_names else None,
            np.array(labels, np.int64),
            per_token=True,
            passages=Passages(
                np.array(rows, np.int64), spans, tuple(self.contexts), tuple(self.answers), self.unanswerable
            ),
        )
        return split, sum(len(question.ids) > longest for question in asked)


def _windows(tokens: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """Return where the windows on so many tokens begin and end, each `room` long but for the last; one at least."""
    shared = min(stride, room // 2)
    for begin in range(0, max(tokens - shared, 1), room - shared):
        yield begin, min(begin + room, tokens)


class _Encoded(NamedTuple):
    """Tokens of a text without special ones: ids `(t,)` and characters `(t, 2)`, both int32."""

    ids: NDArray[np.int32]
    spans: NDArray[np.int32]


class _Frame(NamedTuple):
    """A pair of texts, of which only special tokens count: ids and types of before, between and after the texts.

    Attributes:
        ids: three arrays, int32.
        types: five, those of the two texts' tokens among them, which are `(1,)`.
    """

    ids: list[NDArray[np.int32]]
    types: list[NDArray[np.int32]]

    @property
    def special(self) -> int:
        """How many special tokens a pair has."""
        return sum(map(len, self.ids))

    def context_begins(self, question: int) -> int:
        """Return the position of a context's first token after a question of so many tokens."""
        return len(self.ids[0]) + question + len(self.ids[1])

    def around(self, question: NDArray[np.int32], context: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return the tokens of a question with a context."""
        return np.concatenate([self.ids[0], question, self.ids[1], context, self.ids[2]])

    def types_around(self, question: int, context: int) -> NDArray[np.int32]:
        """Return the types of as many tokens."""
        before, asked, between, told, after = self.types
        return np.concatenate([before, asked.repeat(question), between, told.repeat(context), after])


def _frame(tokenizer: PreTrainedTokenizerBase) -> _Frame:
    pair = tokenizer("a", "b")[0]  # the first of its encodings, the only one
    ids, types = np.array(pair.ids, np.int32), np.array(pair.type_ids, np.int32)
    of_text = np.array([-1 if text is None else text for text in pair.sequence_ids])
    (a, *_, b), (c, *_, d) = (np.flatnonzero(of_text == text)[[0, -1]] for text in (0, 1))
    parts = [types[:a], types[a : a + 1], types[b + 1 : c], types[c : c + 1], types[d + 1 :]]
    return _Frame([ids[:a], ids[b + 1 : c], ids[d + 1 :]], parts)


def _encoded(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[_Encoded]:
    found = []
    for start in range(0, len(texts), _CHUNK):
        chunk = tokenizer(
            list(texts[start : start + _CHUNK]),
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            return_offsets_mapping=True,
            verbose=False,  # no word about texts that are too long: they become windows
        )
        part = texts[start : start + _CHUNK]
        for text, ids, spans in zip(part, chunk["input_ids"], chunk["offset_mapping"], strict=True):
            found.append(_Encoded(np.array(ids, np.int32), mended(text, np.array(spans, np.int32).reshape(-1, 2))))
    return found


def _tokens_of(context: _Encoded, span: NDArray[np.int64]) -> tuple[int, int] | None:
    """Return the first and the last token that have characters of a span; None if none has."""
    first = int(np.searchsorted(context.spans[:, 1], span[0], side="right"))
    last = int(np.searchsorted(context.spans[:, 0], span[1], side="left")) - 1
    return (first, last) if span[0] >= 0 and first <= last else None


def _numbered(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """Return each text once, and of each of the `n` its number `(n,)`."""
    numbers: dict[str, int] = {}
    found = np.array([numbers.setdefault(text, len(numbers)) for text in texts], np.int64)
    return list(numbers), found
