"""Texts to tokens, and a fingerprint of what the tokens depend on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .split import Split

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .texts import Rows, Texts

VERSION = "1"  # of the cache files; a change makes the old ones unread


def tokenise(texts: Texts, tokenizer: PreTrainedTokenizerBase, max_length: int) -> tuple[Split, int]:
    """Return the tokenised split, and how many texts were cut to ``max_length`` tokens."""
    encoded = _encode(texts, tokenizer)
    rows, types = encoded["input_ids"], encoded.get("token_type_ids")
    long = np.array([i for i, row in enumerate(rows) if len(row) > max_length], np.int64)
    if len(long):  # a second pass over the few: a tokenizer does not say by itself what it has cut
        cut = _encode(texts.take(long), tokenizer, max_length)
        for position, i in enumerate(long):
            rows[i] = cut["input_ids"][position]
            if types is not None:
                types[i] = cut["token_type_ids"][position]

    def arrays(rows: list[list[int]]) -> list[np.ndarray]:
        return [np.array(row, np.int32) for row in rows]

    return Split(arrays(rows), None if types is None else arrays(types), texts.labels), len(long)


def _encode(
    texts: Texts, tokenizer: PreTrainedTokenizerBase, max_length: int | None = None
) -> dict[str, list[list[int]]]:
    encoded = tokenizer(
        texts.first,
        texts.second,
        truncation=max_length is not None,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
        verbose=False,  # no word about texts that are too long: they are counted and cut
    )
    return dict(encoded)  # pyright: ignore[reportReturnType]


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, max_length: int, is_pair: bool) -> int:
    """Return the padding token's id.

    Raises:
        InputError: no padding token, or no room for a token beside the special ones.
    """
    special = tokenizer.num_special_tokens_to_add(pair=is_pair)
    if max_length <= special:
        raise InputError(
            f"a text needs more than its {special} special tokens, but max_length is {max_length}; raise it"
        )
    if tokenizer.pad_token_id is None:
        raise InputError(f"{type(tokenizer).__name__} has no padding token; set tokenizer.pad_token and save it")
    return int(tokenizer.pad_token_id)  # pyright: ignore[reportArgumentType]


def check_offsets(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise InputError for a tokenizer that does not tell where in a text its tokens stand."""
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not tell where in a text its tokens stand, which answers and tags need; "
            "take a model with a fast tokenizer (tokenizer.json)"
        )


def fingerprint(texts: dict[str, Rows], tokenizer: PreTrainedTokenizerBase, max_length: int, described: object) -> str:
    """Return a hash of what the tokens depend on: texts, labels, tokenizer, length, and ``described`` as JSON."""
    digest = hashlib.sha256(json.dumps([VERSION, max_length, described, _identity(tokenizer)]).encode())
    for name, part in texts.items():
        for content in part.hashed(name):
            digest.update(content)
    return digest.hexdigest()[:16]


def _identity(tokenizer: PreTrainedTokenizerBase) -> object:
    """Return what decides the tokens, as JSON: not the padding and truncation, which every call to it changes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer in Python
        return [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), sorted(tokenizer.special_tokens_map)]
    content = json.loads(backend.to_str())
    return [tokenizer.model_input_names, {k: v for k, v in content.items() if k not in ("padding", "truncation")}]
