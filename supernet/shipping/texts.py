"""Texts that fixed scales of int8 are found on."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from ...tasks.batches import Batch
from .engines import MOST_TEXTS


def scale_batches(
    texts: Iterable[tuple[str, ...]], tokenizer: PreTrainedTokenizerBase, most_tokens: int
) -> list[Batch]:
    """Return the first texts, each a batch of its own, without padding.

    Args:
        texts: or pairs.
        tokenizer: the model's.
        most_tokens: of a text, which is cut off there.
    """
    batches = []
    for text in islice(texts, MOST_TEXTS):
        first, second = (*text, None)[:2]
        encoded = tokenizer(first, second, truncation=True, max_length=most_tokens, return_tensors="pt")
        real = encoded["attention_mask"].bool()
        batches.append(Batch(encoded["input_ids"], encoded.get("token_type_ids"), real, torch.zeros(1), np.arange(1)))
    return batches
