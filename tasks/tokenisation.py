"""Texts to tokens, once per data set: tokenised splits are kept in a cache folder by their fingerprint."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from .task import Split
from .texts import Texts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

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


def fingerprint(texts: dict[str, Texts], tokenizer: PreTrainedTokenizerBase, max_length: int, described: object) -> str:
    """Return a hash of what the tokens depend on: texts, labels, tokenizer, length, and ``described`` as JSON."""
    digest = hashlib.sha256(json.dumps([VERSION, max_length, described, _identity(tokenizer)]).encode())
    for name, part in texts.items():
        digest.update(json.dumps([name, part.first, part.second]).encode())
        digest.update(str(part.labels.dtype).encode() + part.labels.tobytes())
    return digest.hexdigest()[:16]


def _identity(tokenizer: PreTrainedTokenizerBase) -> object:
    """Return what decides the tokens, as JSON: not the padding and truncation, which every call to it changes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:  # a tokenizer in Python
        return [type(tokenizer).__name__, sorted(tokenizer.get_vocab().items()), sorted(tokenizer.special_tokens_map)]
    content = json.loads(backend.to_str())
    return [tokenizer.model_input_names, {k: v for k, v in content.items() if k not in ("padding", "truncation")}]


def load_cached(path: Path) -> tuple[dict[str, Split], int] | None:
    """Return the splits stored at ``path`` and the number of truncated texts; None if it is absent or damaged."""
    try:
        # Opened here because np.load leaves a damaged file open; members carry a checksum, so a flipped bit is noticed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        splits = {}
        for name in sorted({key.split("/")[0] for key in arrays if "/" in key}):
            ends = np.cumsum(arrays[f"{name}/lengths"])[:-1]
            types = arrays.get(f"{name}/types")
            splits[name] = Split(
                np.split(arrays[f"{name}/tokens"], ends),
                None if types is None else np.split(types, ends),
                arrays[f"{name}/labels"],
            )
        return splits, int(arrays["truncated"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def store(path: Path, splits: dict[str, Split], truncated: int) -> None:
    """Write the splits to ``path``, which holds nothing or all of them at any time.

    Raises:
        InputError: a folder that cannot be written to.
    """
    arrays: dict[str, np.ndarray] = {"truncated": np.array(truncated)}
    for name, split in splits.items():
        arrays[f"{name}/tokens"] = np.concatenate(split.input_ids)
        arrays[f"{name}/lengths"] = split.lengths
        arrays[f"{name}/labels"] = split.labels
        if split.token_type_ids is not None:
            arrays[f"{name}/types"] = np.concatenate(split.token_type_ids)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise InputError(
            f"the cache folder {path.parent} cannot be written to ({error.strerror}); name another"
        ) from None
