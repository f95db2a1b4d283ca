"""A hash of what a task's tokens depend on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from .rows import Rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VERSION = "1"  # of the cache files; a change makes the old ones unread


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
