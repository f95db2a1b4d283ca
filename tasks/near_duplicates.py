"""Which rows of a data set are near-duplicates: equal but for case and punctuation, or part of one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_BETWEEN = "\x1f"  # between the parts of a row, as a word of its own: no word contains it
# A text of more words is looked for where its first words stand, rather than everywhere: what is looked at everywhere,
# once for each length, would take minutes for long documents. For so many words few places are left.
_ANCHOR = 16
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_MASK = 2**64 - 1

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class NearDuplicates:
    """Which of `n` rows are near-duplicates of others.

    A row is *whole* if it is part of no other one, and the first of those that are equal to it. Every row is part of
    one whole row or several; a row whose whole rows are on one side of a split goes to that side, and rows that are
    part of whole rows on both sides, mostly single words, to neither.

    Attributes:
        whole: `(w,)` int64, the whole rows, in increasing order.
        part: `(e,)` int64, rows, each as often as it has whole rows ...
        of: ... and these, as positions in `whole`.
    """

    whole: NDArray[np.int64]
    part: NDArray[np.int64]
    of: NDArray[np.int64]

    @classmethod
    def among(cls, rows: Sequence[tuple[str, ...]]) -> NearDuplicates:
        """Find the near-duplicates among `n` rows, each of one text or of several that all must be alike.

        In time of about the number of words times the number of lengths that short rows have; equality is that of
        64-bit hashes.
        """
        numbers: dict[tuple[int, ...], int] = {}
        number = np.array([numbers.setdefault(words, len(numbers)) for words in _words(rows)], np.int64)
        inner, outer = _Contents(list(numbers)).containments()
        first = np.unique(number, return_index=True)[1]  # row of each distinct text
        is_whole = np.ones(len(numbers), bool)
        is_whole[inner] = False
        whole = np.flatnonzero(is_whole)
        kept = is_whole[outer]  # what contains a row's container contains the row
        inner, outer = np.append(inner[kept], whole), np.append(outer[kept], whole)
        order = np.argsort(first[whole])
        place = np.empty(len(numbers), np.int64)
        place[whole[order]] = np.arange(len(whole))
        rows_of, ends = np.argsort(number, kind="stable"), np.cumsum(np.bincount(number, minlength=len(numbers)))
        begins = np.append(0, ends)[:-1]
        counts = (ends - begins)[inner]
        at = np.repeat(begins[inner], counts) + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return cls(first[whole[order]], rows_of[at], np.repeat(place[outer], counts))

    def share(self, n: int) -> float:
        """Return the share of the `n` rows that are equal to another one, or part of it."""
        return 1 - len(self.whole) / n if n else 0.0

    def sides(self, drawn: NDArray[np.int64], n: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which of the `n` rows go with whole rows that are drawn, and which with the others, `(n,)` each.

        Args:
            drawn: `(k,)` int64, some of `whole`.
            n: the number of rows.
        """
        chosen = np.isin(self.whole, drawn)[self.of]
        inside, outside = np.zeros(n, bool), np.zeros(n, bool)
        inside[self.part[chosen]] = True
        outside[self.part[~chosen]] = True
        return inside & ~outside, outside & ~inside


def _words(rows: Sequence[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Return each row as numbers of words, without case and punctuation; of a text without words, its characters."""
    known: dict[str, int] = {}
    found = []
    for row in rows:
        parts = [_WORD.findall(text.casefold()) or [text] for text in row]
        words = parts[0] + [word for part in parts[1:] for word in (_BETWEEN, *part)]
        found.append(tuple(known.setdefault(word, len(known)) for word in words))
    return found


class _Contents:
    """Distinct texts, one after another and the longest first, with hashes of all that stands in them.

    A polynomial in an odd base modulo 2**64: with the inverse of the base, the hash of the words from `i` to `j` is a
    difference of two sums.
    """

    def __init__(self, texts: list[tuple[int, ...]]) -> None:
        lengths = np.array([len(text) for text in texts], np.int64)
        self._order = np.argsort(-lengths, kind="stable")
        self._lengths = lengths[self._order]
        self._ends = np.cumsum(self._lengths)
        self._begins = self._ends - self._lengths
        words = np.fromiter(chain.from_iterable(texts[i] for i in self._order), np.int64, count=int(lengths.sum()))
        values = np.random.default_rng(0).integers(2**63, size=int(words.max(initial=0)) + 1, dtype=np.uint64)
        self._text = np.repeat(np.arange(len(texts)), self._lengths)
        powers, self._inverse = _powers(_BASE, len(words)), _powers(pow(_BASE, -1, 2**64), len(words))
        self._sums = np.append(np.zeros(1, np.uint64), np.cumsum(values[words] * powers[: len(words)]))

    def _hashes(self, begins: NDArray[np.int64], length: int) -> Hashes:
        return (self._sums[begins + length] - self._sums[begins]) * self._inverse[begins]

    def containments(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which texts `(e,)` are contained in which longer ones `(e,)`; a pair may come several times."""
        inner, outer = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        anchored = self._anchored()
        for length in np.unique(self._lengths).tolist():
            own = np.flatnonzero(self._lengths == length)
            longer = int(own[0])  # texts
            if not longer:
                break
            limit = int(self._ends[longer - 1]) - length
            places = np.arange(limit + 1) if length <= _ANCHOR else anchored[anchored <= limit]
            places = places[self._text[places] == self._text[places + length - 1]]
            wanted = self._hashes(self._begins[own], length)
            order = np.argsort(wanted)
            there = self._hashes(places, length)
            at = np.minimum(np.searchsorted(wanted[order], there), len(own) - 1)
            hit = wanted[order][at] == there
            inner.append(self._order[own[order][at[hit]]])
            outer.append(self._order[self._text[places[hit]]])
        return np.concatenate(inner), np.concatenate(outer)

    def _anchored(self) -> NDArray[np.int64]:
        """Return the places where the first words of a long text stand, in whatever text."""
        long = int((self._lengths > _ANCHOR).sum())
        if not long:
            return np.empty(0, np.int64)
        places = np.arange(int(self._ends[long - 1]) - _ANCHOR + 1)
        places = places[self._text[places] == self._text[places + _ANCHOR - 1]]
        firsts = np.sort(self._hashes(self._begins[:long], _ANCHOR))
        there = self._hashes(places, _ANCHOR)
        return places[firsts[np.minimum(np.searchsorted(firsts, there), long - 1)] == there]


def _powers(base: int, n: int) -> Hashes:
    """Return the powers 0 to n of a base modulo 2**64."""
    factors = np.full(n + 1, base & _MASK, np.uint64)
    factors[0] = 1
    return np.cumprod(factors)
