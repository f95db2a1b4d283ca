"""Exact match and F1 of answers by the rules of SQuAD's official scripts.

Source: Rajpurkar et al., EMNLP 2016, section 6.1; Rajpurkar et al., ACL 2018; the scripts evaluate-v1.1 and -v2.0.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


@lru_cache(maxsize=2**16)
def words_of(text: str) -> tuple[str, ...]:
    """Return what counts of an answer: its words in lower case, without ASCII punctuation and without articles."""
    return tuple(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def scores(given: Sequence[str], right: Sequence[Sequence[str]], *, unanswerable: bool) -> NDArray[np.float64]:
    """Return exact match (0 or 1) and F1 of the answer to each question, the best over its right ones: `(m, 2)`.

    Args:
        given: `m` answers.
        right: of each question the texts that are right.
        unanswerable: by the rules of SQuAD 2.0. Then a right text without words does not count, a question without
            right texts is to be answered by none, and two answers without words have an F1 of 1; in SQuAD 1.1, of 0.
    """
    found = np.zeros((len(given), 2))
    for i, (answer, texts) in enumerate(zip(given, right, strict=True)):
        words = words_of(answer)
        references = [words_of(text) for text in texts]
        if unanswerable:
            references = [one for one in references if one] or [()]
        found[i] = any(words == one for one in references), max(_f1(words, one, unanswerable) for one in references)
    return found


def _f1(words: tuple[str, ...], reference: tuple[str, ...], both_empty: bool) -> float:
    if not words or not reference:
        return float(both_empty and words == reference)
    common = (Counter(words) & Counter(reference)).total()
    precision, recall = common / len(words), common / len(reference)
    return 2 * precision * recall / (precision + recall) if common else 0.0
