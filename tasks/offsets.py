"""Where in a text its tokens stand, mended where a tokenizer says it wrongly."""

from __future__ import annotations

import unicodedata

import numpy as np
from numpy.typing import NDArray

_VISIBLE = (
    "LNPS"  # categories of characters that no tokenizer means to leave out: letters, numbers, punctuation, symbols
)


def mended(text: str, spans: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the characters `(tokens, 2)` of a text's own tokens, in order, such that words are whole.

    A tokenizer that splits at blanks before it makes bytes reports the first token of a word a character late, and a
    word of one letter not at all. A visible character that no token has belongs to the token that begins after it, or
    else to the one that ends before it. Blanks at the ends of a token are not its own. What a normaliser leaves out,
    such as control characters and accents, stays left out.

    Args:
        text: what was tokenised.
        spans: `(tokens, 2)`, the characters of the text where a token begins and before which it ends, as reported;
            without special tokens.
    """
    if not len(spans):
        return spans
    blank = np.array([character.isspace() for character in text], bool)
    spans = _ordered(_trimmed(spans, blank))
    covered = np.zeros(len(text) + 1, np.int64)
    np.add.at(covered, spans[:, 0], 1)
    np.add.at(covered, spans[:, 1], -1)
    lost = np.flatnonzero(~blank & (np.cumsum(covered)[:-1] == 0))
    lost = lost[np.array([unicodedata.category(text[i])[0] in _VISIBLE for i in lost], bool)]
    return _given_back(spans, lost) if len(lost) else spans


def _trimmed(spans: NDArray[np.int32], blank: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return spans without blanks at their ends; one of blanks alone ends where it begins."""
    position = np.arange(len(blank) + 1)
    following = np.append(np.where(blank, len(blank), position[:-1]), len(blank))  # the next character, if visible
    following = np.minimum.accumulate(following[::-1])[::-1]
    before = np.append(0, np.where(blank, 0, position[1:]))  # behind the last character, if visible
    before = np.maximum.accumulate(before)
    begins = np.minimum(following[spans[:, 0]], spans[:, 1])
    ends = np.maximum(before[spans[:, 1]], begins)
    return np.stack([begins, ends], axis=1).astype(np.int32)


def _ordered(spans: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return spans that begin no later than those after them, and end no earlier than those before."""
    begins = np.minimum.accumulate(spans[::-1, 0])[::-1]
    empty = spans[:, 0] >= spans[:, 1]
    ends = np.maximum.accumulate(np.where(empty, begins, spans[:, 1]))
    return np.stack([begins, np.where(empty, begins, ends)], axis=1).astype(np.int32)


def _given_back(spans: NDArray[np.int32], lost: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return spans with the characters at `lost`, in order: each goes to the next token, or to the one before."""
    spans = spans.copy()
    for run in np.split(lost, np.flatnonzero(np.diff(lost) > 1) + 1):
        begin, end = int(run[0]), int(run[-1]) + 1
        places, first = np.unique(spans[:, 0], return_index=True)
        for token in first[(places > begin) & (places <= end)]:  # those within the run were said to be empty
            spans[token], begin = (begin, max(spans[token])), int(spans[token, 0])
        before = int(np.searchsorted(spans[:, 1], begin, side="right")) - 1
        if begin < end and before >= 0 and spans[before, 1] == begin:
            spans[before, 1] = end
    return spans
