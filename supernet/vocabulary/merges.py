"""Byte-pair encoding: characters, or bytes, that are merged pair by pair in a learnt order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any

from ...errors import InputError
from .pieces import Numbers, Pieces, bytes_of


class BytePairs(Pieces):
    """A word's characters are merged, always the pair that comes first in the list of merges, until there is none.

    A merge that happens inside a token of a word is the same one that happens in that token alone: pairs that reach
    across its ends are never merged there. So what a token goes through is its own affair (:meth:`parts`), and a word
    keeps its tokens as long as these are there: the first of the merges that can be done is still there, and of fewer
    it is still the first.
    """

    def parts(self, number: int) -> frozenset[int]:
        """Return the ids of all tokens that a text goes through before it has this one, which is among them.

        Raises:
            InputError: merges do not lead to it.
        """
        if self._model.get("ignore_merges"):  # words that are tokens are found whole
            return frozenset({number})
        found, whole = self._merged(number)
        if not whole:
            raise InputError(
                f"no merges of the tokenizer lead to its token {self._tokens[number]!r}, but texts have it; mend the "
                "list of merges in tokenizer.json"
            )
        return found

    def is_readable(self, number: int) -> bool:
        """Tell whether a text can have this token: merges lead to it."""
        return bool(self._model.get("ignore_merges")) or self._merged(number)[1]

    def cut(self, numbers: Numbers) -> dict[str, Any]:
        """Return the model's JSON with some of its tokens, numbered anew; other keys of `numbers` are passed over.

        Merges stay whose two parts and whose result are kept, in their order.
        """
        kept = self._numbered(numbers)
        merges = [[*pair] for pair in self._ranks if {*pair, self._result(pair)} <= kept.keys()]
        return {**self._model, "vocab": kept, "merges": merges}

    def _units(self) -> Iterable[int]:
        """Yield single characters: of byte-level tokenizers, the bytes."""
        yield from self._unknown()
        yield from (number for token, number in self.vocabulary.items() if len(self._symbols(token)) == 1)
        if self._model.get("byte_fallback"):
            yield from bytes_of(self.vocabulary)

    @cached_property
    def _ranks(self) -> Mapping[tuple[str, str], int]:
        pairs = (merge.split(" ") if isinstance(merge, str) else merge for merge in self._model["merges"])
        return {(first, second): rank for rank, (first, second) in enumerate(pairs)}

    @property
    def _prefix(self) -> str:
        """Begins the symbols that go on in a word."""
        return self._model.get("continuing_subword_prefix") or ""

    @property
    def _suffix(self) -> str:
        """Ends the last symbol of a word."""
        return self._model.get("end_of_word_suffix") or ""

    def _result(self, pair: tuple[str, str]) -> str:
        return pair[0] + pair[1].removeprefix(self._prefix)

    def _symbols(self, token: str) -> list[str]:
        """Return the characters that a token is merged from, as the model spells them."""
        goes_on = bool(self._prefix) and token.startswith(self._prefix) and token != self._prefix
        ends = bool(self._suffix) and token.endswith(self._suffix) and token != self._suffix
        bare = token[len(self._prefix) * goes_on : len(token) - len(self._suffix) * ends]
        symbols = [f"{self._prefix if at or goes_on else ''}{character}" for at, character in enumerate(bare)]
        return [*symbols[:-1], symbols[-1] + self._suffix] if ends else symbols

    def _merged(self, number: int) -> tuple[frozenset[int], bool]:
        """Merge the characters of a token; return the ids of all that came up, and whether it came out whole."""
        token = self._tokens[number]
        symbols = self._symbols(token)
        seen = {*symbols}
        while len(symbols) > 1:
            ranked = [(self._ranks[pair], at) for at, pair in enumerate(pairwise(symbols)) if pair in self._ranks]
            if not ranked:
                break
            _, at = min(ranked)
            symbols[at : at + 2] = [self._result((symbols[at], symbols[at + 1]))]
            seen.add(symbols[at])
        return frozenset(self.vocabulary[one] for one in seen if one in self.vocabulary), symbols == [token]
