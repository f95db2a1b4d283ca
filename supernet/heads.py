"""The heads: which models have them, what they read, and what they give, the same way whatever the head is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils.generic import ModelOutput

from ..errors import InputError

if TYPE_CHECKING:  # a process that only serves a model does without tasks
    from ..tasks.kinds import Head

# How the names of Hugging Face's classes end, the Auto classes' among them.
ENDINGS: dict[Head, str] = {
    "sequence-classification": "ForSequenceClassification",
    "question-answering": "ForQuestionAnswering",
    "token-classification": "ForTokenClassification",
    "embedding": "ForEmbedding",
}


def auto_class(head: Head) -> str:
    """Return the name of the Auto class that loads models with a head; of those for embedding the encoder."""
    if head == "embedding":
        return "AutoModel"
    return f"AutoModel{ENDINGS[head]}"


def named_head(name: str) -> Head | None:
    """Return the head that the name of a model's class tells; None if it is none of these."""
    return next((head for head, ending in ENDINGS.items() if name.endswith(ending)), None)


def stored_head(config: PreTrainedConfig) -> Head | None:
    """Return the head of the model that a checkpoint's configuration was saved with; None if it is none of these."""
    return next((named_head(name) for name in config.architectures or ()), None)


def head_of(model: PreTrainedModel) -> Head:
    """Return a model's head.

    Raises:
        InputError: another one, or none.
    """
    for parent in type(model).__mro__:
        if head := named_head(parent.__name__):
            return head
    raise InputError(
        f"{type(model).__name__} has no head for {', '.join(ENDINGS)}; give a model that was made for one of these"
    )


def read_outputs(found: ModelOutput, attention_mask: Tensor | None) -> Tensor:
    """Return the outputs `(R, C)` of a Hugging Face model: one for each text, or for each real token, text after text.

    Args:
        found: what the model returned.
        attention_mask: `(B, T)`, zero or False for padding; None where nothing is padded.
    """
    if "sentence_embedding" in found:
        outputs = found["sentence_embedding"]
    elif "start_logits" in found:
        outputs = torch.stack([found["start_logits"], found["end_logits"]], dim=-1)
    else:
        outputs = found["logits"]
    return outputs if outputs.ndim == 2 else real_tokens(outputs, attention_mask)


def real_tokens(padded: Tensor, keep: Tensor | None) -> Tensor:
    """Return what `(B, T, C)` holds at real tokens, text after text: `(R, C)`; `keep` is zero or False for padding."""
    flat = padded.flatten(0, 1)
    return flat if keep is None else flat.index_select(0, keep.flatten().nonzero()[:, 0])
