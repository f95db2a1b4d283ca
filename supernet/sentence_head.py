"""What makes a text's vector of its tokens' states, as files beside an encoder say it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig

from .families.family import SENTENCE, Pooling

_DOCUMENT = ("document", "passage", "corpus")  # prompts, in the order in which sentence-transformers looks for them


@dataclass(frozen=True)
class SentenceHead:
    """What makes a text's vector of its tokens' states.

    Attributes:
        width: C, of the vectors.
        pooling: what is read of a text: the mean of its tokens, the first or the last one.
        activation: of what the linear map gives, a name of ACTIVATIONS; None for none.
        normalize: vectors are divided by their length.
        bias: the linear map has one.
        files: what else lies beside such a model, by the file's name: prompts, the longest text and the like.
    """

    width: int
    pooling: Pooling = "mean"
    activation: str | None = None
    normalize: bool = False
    bias: bool = False
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: PreTrainedConfig) -> SentenceHead:
        """Return the head that a model's configuration describes while the model is in memory."""
        return cls(**getattr(config, SENTENCE))

    def describe(self, config: PreTrainedConfig) -> None:
        """Write it into a configuration, in place; on the disk other files say it."""
        setattr(config, SENTENCE, asdict(self))

    @property
    def prompts(self) -> dict[str, str]:
        """What is put before a text, before a `query` and before a `document`; the first, under "", is mostly nothing.

        A query or a document without a prompt of its own gets the first.
        """
        known = self.files.get("config_sentence_transformers.json", {})
        named = {name: str(text) for name, text in (known.get("prompts") or {}).items() if text}
        usual = named.get(known.get("default_prompt_name") or "", "")
        document = next((named[name] for name in _DOCUMENT if name in named), usual)
        return {"": usual, "query": named.get("query", usual), "document": document}

    @property
    def most_tokens(self) -> int | None:
        """Tokens to which texts are cut; None where only the encoder's positions limit them."""
        found = self.files.get("sentence_bert_config.json", {}).get("max_seq_length")
        return None if found is None else int(found)


def is_identity(linear: nn.Linear) -> bool:
    """Tell whether a linear map leaves everything as it is."""
    rows, columns = linear.weight.shape
    return rows == columns and linear.bias is None and bool((linear.weight == torch.eye(rows).to(linear.weight)).all())
