"""What tokenizers of each kind spell texts with, and their models with fewer tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import Tokenizer

Numbers = Mapping[int, int]  # the new id of each token that is kept, by its old one, in ascending order


class Pieces(ABC):
    """The tokens of a tokenizer's model, without those that were added to it.

    Args:
        backend: the tokenizer.
        model: what its JSON says under `model`.

    Attributes:
        vocabulary: id by token.
        units: ids of what a word is spelled with whose own tokens are gone; empty where words cannot be spelled.
    """

    units: frozenset[int]

    def __init__(self, backend: Tokenizer, model: Mapping[str, Any]) -> None:
        self._backend, self._model = backend, model
        self.vocabulary = self._vocabulary()
        self._tokens = {number: token for token, number in self.vocabulary.items()}
        self.units = frozenset(self._units())

    def parts(self, number: int) -> frozenset[int]:
        """Return the ids of all tokens that a text goes through before it has this one, which is among them.

        Raises:
            InputError: no text has it.
        """
        return frozenset({number})

    def is_readable(self, number: int) -> bool:
        """Tell whether a text can have this token."""
        return True

    @abstractmethod
    def cut(self, numbers: Numbers) -> dict[str, Any]:
        """Return the model's JSON with some of its tokens, numbered anew; other keys of `numbers` are passed over."""

    def _vocabulary(self) -> dict[str, int]:
        return dict(self._model["vocab"])

    @abstractmethod
    def _units(self) -> Iterable[int]: ...

    def _numbered(self, numbers: Numbers) -> dict[str, int]:
        return {self._tokens[old]: new for old, new in numbers.items() if old in self._tokens}

    def _unknown(self) -> Iterable[int]:
        """Yield the id of what stands for unknown words."""
        token = self._model.get("unk_token")
        if token in self.vocabulary:
            yield self.vocabulary[token]


class WordPiece(Pieces):
    """Words are cut from the left into the longest tokens there are; those that go on begin with a prefix.

    Tokens that a word does not have decide nothing about it, so that a word keeps its tokens as long as they are there.
    An unknown word stays unknown where every character of a token is one, too, as trained vocabularies have it.
    """

    def is_readable(self, number: int) -> bool:
        """Tell whether a text can have this token: normalised, it is one word, or the end of one."""
        token = self._tokens[number]
        bare = self._bare(token)
        if bare == token:
            return self._is_word(token)
        return self._is_word(f"a{bare}") or self._is_word(f"{bare[0]}{bare}")

    def cut(self, numbers: Numbers) -> dict[str, Any]:
        """Return the model's JSON with some of its tokens, numbered anew; other keys of `numbers` are passed over."""
        return {**self._model, "vocab": self._numbered(numbers)}

    def _units(self) -> Iterable[int]:
        """Yield single characters, at the beginning of a word and further on."""
        yield from self._unknown()
        for token, number in self.vocabulary.items():
            if len(self._bare(token)) == 1 and self.is_readable(number):
                yield number

    def _bare(self, token: str) -> str:
        """Return a token without the prefix of those that go on; the prefix itself is a token like any other."""
        return token.removeprefix(str(self._model["continuing_subword_prefix"])) or token

    def _is_word(self, text: str) -> bool:
        normalizer, splitter = self._backend.normalizer, self._backend.pre_tokenizer
        normal = text if normalizer is None else normalizer.normalize_str(text)
        words = [normal] if splitter is None else [word for word, _ in splitter.pre_tokenize_str(normal)]
        return words == [text]


class WordLevel(Pieces):
    """A word is a token; all others are unknown."""

    def cut(self, numbers: Numbers) -> dict[str, Any]:
        """Return the model's JSON with some of its tokens, numbered anew; other keys of `numbers` are passed over."""
        return {**self._model, "vocab": self._numbered(numbers)}

    def _units(self) -> Iterable[int]:
        yield from self._unknown()


class Unigram(Pieces):
    """A text is the pieces of the highest total score.

    Without pieces that are not on it the best path is the best as before, ties included: of equal ones the first is
    taken. What an unknown character costs is counted from the lowest score of all pieces, so that one stays.
    """

    def cut(self, numbers: Numbers) -> dict[str, Any]:
        """Return the model's JSON with some of its tokens, numbered anew; other keys of `numbers` are passed over."""
        pieces, unknown = self._model["vocab"], self._model["unk_id"]
        kept = [pieces[old] for old in numbers if old in self._tokens]
        return {**self._model, "vocab": kept, "unk_id": None if unknown is None else numbers[unknown]}

    def _vocabulary(self) -> dict[str, int]:
        return {piece: number for number, (piece, _) in enumerate(self._model["vocab"])}

    def _units(self) -> Iterable[int]:
        """Yield single characters and bytes, the lowest score, and what comes before the unknown piece.

        That one keeps its place: transformers' XLM-RoBERTa tokenizer takes it for the fourth, whatever its file says.
        """
        scores = [score for _, score in self._model["vocab"]]
        yield scores.index(min(scores))
        yield from range((self._model["unk_id"] or 0) + 1)
        yield from (number for piece, number in self.vocabulary.items() if len(piece) == 1)
        if self._model.get("byte_fallback"):
            yield from bytes_of(self.vocabulary)


def bytes_of(vocabulary: Mapping[str, int]) -> Iterable[int]:
    """Yield the ids of the tokens that stand for single bytes of unknown characters."""
    return (vocabulary[name] for byte in range(256) if (name := f"<0x{byte:02X}>") in vocabulary)
