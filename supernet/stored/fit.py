"""Whether a model, its tokenizer and a task's texts go together: asked once, before anything is made."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from ...errors import InputError
from ...tasks.task import Task
from .storage import known_segments


def check_tokenizer(config: PreTrainedConfig, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a model has a row of word embeddings for each token.

    Raises:
        InputError: it has not.
    """
    rows, ids = int(config.vocab_size), tokenizer.get_vocab()
    token = max(ids, key=lambda name: ids[name])
    if ids[token] >= rows:
        raise InputError(
            f"the tokenizer has {ids[token] + 1:,} tokens (the last is {token!r}), but the model has {rows:,} rows of "
            "word embeddings; give the model that was made for this tokenizer, or give this one as many rows: "
            "model.resize_token_embeddings(len(tokenizer))"
        )


def check_texts(config: PreTrainedConfig, task: Task) -> None:
    """Check that a model knows all tokens and token types of a task's texts.

    Raises:
        InputError: it does not.
    """
    splits, rows = (task.train, task.selection, *task.report.values()), int(config.vocab_size)
    largest = max(_largest(split.input_ids) for split in splits)
    if largest >= rows:
        raise InputError(
            f"the texts of {task.name} have a token of id {largest}, but the model has {rows:,} rows of word "
            "embeddings; tokenise them with the model's own tokenizer"
        )
    segments = known_segments(config)
    types = max((_largest(split.token_type_ids) for split in splits if split.token_type_ids is not None), default=0)
    if 0 < segments <= types:
        raise InputError(
            f"the tokenizer gives token types from 0 to {types}, but the model knows {segments}; take token_type_ids "
            "out of model_input_names in tokenizer_config.json"
        )


def _largest(rows: Iterable[NDArray[np.int32]]) -> int:
    return max((int(row.max()) for row in rows if len(row)), default=0)
