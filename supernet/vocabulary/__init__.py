"""Fewer tokens: which of them texts need, and a tokenizer and a model without the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer

from ...errors import unknown_name
from .merges import BytePairs
from .pieces import Pieces, Unigram, WordLevel, WordPiece

# By the type that tokenizer.json names.
PIECES: dict[str, type[Pieces]] = {
    "WordPiece": WordPiece,
    "BPE": BytePairs,
    "Unigram": Unigram,
    "WordLevel": WordLevel,
}


def pieces_of(backend: Tokenizer, model: Mapping[str, Any]) -> Pieces:
    """Return the pieces of a tokenizer.

    Args:
        backend: the tokenizer.
        model: what its JSON says under `model`.

    Raises:
        InputError: a kind of tokenizer that is not known.
    """
    kind = str(model["type"])
    if kind not in PIECES:
        raise unknown_name("kind of tokenizer", kind, PIECES)
    return PIECES[kind](backend, model)


__all__ = ["PIECES", "Pieces", "pieces_of"]
