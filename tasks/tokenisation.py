"""What a tokenizer must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
