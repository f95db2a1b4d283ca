"""Which tokens are kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ...errors import InputError
from ...search_space import TokenSet
from ..stored.fit import check_tokenizer
from ..stored.storage import known_family
from . import Pieces, pieces_of

Counts = NDArray[np.int64]  # (tokens,), how often texts have each token
_CHUNK = 10_000  # texts that are in memory as tokens


@dataclass(frozen=True)
class KeptTokens:
    """The tokens that are kept.

    Attributes:
        ids: `(n,)`, as the tokenizer numbers them, ascending; the new id of each is its place.
        before: how many tokens the tokenizer has.
        special: `(s,)`, ids of tokens that no text has but for its beginning, its end and the like; all are kept.
    """

    ids: NDArray[np.int64]
    before: int
    special: NDArray[np.int64]

    @property
    def numbers(self) -> dict[int, int]:
        """The new id of each token, by its old one, ascending."""
        return {int(old): new for new, old in enumerate(self.ids)}

    @property
    def token_set(self) -> TokenSet:
        """Their number and a digest, by which masks name them."""
        return TokenSet(len(self.ids), hashlib.sha256(self.ids.tobytes()).hexdigest()[:16])

    def outside(self, counts: Counts) -> float:
        """Return the share of the tokens of texts, special ones aside, that are not kept."""
        read = counts.copy()
        read[self.special] = 0
        return 1.0 - float(read[self.ids].sum()) / max(1, int(read.sum()))


def token_counts(tokenizer: PreTrainedTokenizerBase, rows: Iterable[NDArray[np.int32]]) -> Counts:
    """Count tokens.

    Args:
        tokenizer: whose.
        rows: ids of the tokens of each text.
    """
    counts = np.zeros(1 + max(tokenizer.get_vocab().values()), np.int64)
    for row in rows:
        np.add.at(counts, row, 1)
    return counts


def text_counts(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Counts:
    """Count the tokens of texts, whatever their length."""
    texts, counts = iter(texts), token_counts(tokenizer, ())
    while chunk := list(islice(texts, _CHUNK)):
        encoded = tokenizer(chunk, padding=False, truncation=False, return_attention_mask=False, verbose=False)
        counts += token_counts(tokenizer, (np.array(row, np.int32) for row in encoded["input_ids"]))
    return counts


def kept_tokens(
    tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig, counts: Counts, most: int | None = None
) -> KeptTokens:
    """Choose the tokens that texts need.

    All that texts have, or the most frequent; always what the tokenizer cannot do without: special and added tokens,
    and the characters or bytes that a word is spelled with whose own tokens are gone. A token that is merged from
    others is kept with these. A text whose tokens are all kept is spelled as before.

    Args:
        tokenizer: a fast one.
        config: of the model that reads its tokens.
        counts: how often the texts have each token, as :func:`token_counts` has it.
        most: how many tokens are kept in all; where the texts have fewer, the tokenizer's first ones fill them up. None
            keeps those of the texts.

    Raises:
        InputError: no texts, a tokenizer that cannot be cut, or too few tokens.
    """
    pieces, fixed = _indispensable(tokenizer, config)
    special = np.array(sorted(set(tokenizer.all_special_ids)), np.int64)
    if counts.sum() == counts[special].sum():
        raise InputError("the texts have no tokens; give texts that the model is to read")
    if most is not None and most < len(fixed):
        raise InputError(
            f"expected at least {len(fixed):,} tokens, which the tokenizer cannot do without (special ones and the "
            f"characters or bytes that words are spelled with), got {most:,}; keep more of them"
        )
    kept = set(fixed)
    for number in _in_order(pieces, counts, fixed, filled=most is not None):
        needed = pieces.parts(number) - kept
        if most is None or len(kept) + len(needed) <= most:
            kept |= needed
        if len(kept) == most:
            break
    return KeptTokens(np.array(sorted(kept), np.int64), len(tokenizer.get_vocab()), special)


def _in_order(pieces: Pieces, counts: Counts, fixed: frozenset[int], *, filled: bool) -> Iterator[int]:
    """Yield tokens, the most frequent first; `filled` with those that the texts do not have, as they are numbered."""
    read = [int(number) for number in np.flatnonzero(counts) if int(number) not in fixed]
    yield from sorted(read, key=lambda number: (-counts[number], number))
    if filled:
        others = sorted(set(pieces.vocabulary.values()) - {*read} - fixed)
        yield from (number for number in others if pieces.is_readable(number))


def _indispensable(tokenizer: PreTrainedTokenizerBase, config: PreTrainedConfig) -> tuple[Pieces, frozenset[int]]:
    """Return a tokenizer's pieces, and the ids of what it and a model cannot do without."""
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} has no tokenizer.json, whose tokens could be cut; take a model with a fast "
            "tokenizer"
        )
    check_tokenizer(config, tokenizer)
    backend: Any = tokenizer.backend_tokenizer
    described = json.loads(backend.to_str())
    pieces = pieces_of(backend, described["model"])
    known = set(tokenizer.get_vocab().values())
    fixed = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder, *pieces.units}
    fixed |= {*_of_processor(described["post_processor"]), *special_ids(config).values()}
    fixed |= set() if described["padding"] is None else {described["padding"]["pad_id"]}
    if known_family(config).positions_from_padding:  # the padding's id is part of what positions mean
        fixed |= set(range(int(config.pad_token_id or 0) + 1))
    return pieces, frozenset(fixed & known)


def special_ids(config: PreTrainedConfig) -> dict[str, int]:
    """Return the ids of tokens that a model's configuration names: padding, beginning, end and so on."""
    named = {name: value for name, value in config.to_dict().items() if name.endswith("_token_id")}
    return {name: value for name, value in named.items() if isinstance(value, int)}


def _of_processor(described: Mapping[str, Any] | None) -> Iterator[int]:
    """Yield the ids of what a tokenizer puts around a text."""
    described = described or {}
    for each in described.get("processors", ()):
        yield from _of_processor(each)
    for name in ("sep", "cls"):
        if name in described:
            yield described[name][1]
    if isinstance(special := described.get("special_tokens"), dict):
        for each in special.values():
            yield from each["ids"]
