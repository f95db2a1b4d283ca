"""Models that make a vector of each text: an encoder, what is read of its tokens, a linear map, perhaps length 1."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.models.auto import modeling_auto
from transformers.utils.generic import ModelOutput

from .families.activations import ACTIVATIONS
from .families.family import Pooling
from .sentence_head import SentenceHead
from .stored.sentences import write_modules

VECTOR = "sentence_embedding"  # the name of the output, as sentence-transformers has it
PROJECTION = "projection"


class ForEmbedding:
    """What models for embedding share; the encoder is an ordinary one of its family, extracted or not. Abstract.

    Such a class is made by :func:`embedding_class` and comes before the family's own base class. The linear map is
    always there, the identity where nothing else is said: what is left of a narrower encoder is mapped to vectors of
    the whole model's width by its columns. It is written as a `sentence_transformers` folder.

    Attributes:
        encoder_class: the encoder's.
    """

    encoder_class: type[PreTrainedModel]

    def __init__(self, config: PreTrainedConfig, encoder: PreTrainedModel | None = None) -> None:
        model: Any = self
        super().__init__(config)  # pyright: ignore[reportCallIssue]
        head = SentenceHead.of(config)
        setattr(model, model.base_model_prefix, encoder or _without_pooler(self.encoder_class, config))
        model.projection = nn.Linear(int(config.hidden_size), head.width, bias=head.bias)
        model.post_init()

    @property
    def encoder(self) -> PreTrainedModel:
        """The encoder, which shares its weights."""
        return getattr(self, cast(Any, self).base_model_prefix)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> ModelOutput:
        """Return the vectors `(B, C)`, and if they are wanted the encoder's hidden states."""
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        model: Any = self
        found = self.encoder(**inputs, output_hidden_states=output_hidden_states)
        head = SentenceHead.of(model.config)
        vectors = model.projection(pooled(found.last_hidden_state, attention_mask, head.pooling))
        if head.activation is not None:
            vectors = ACTIVATIONS[head.activation](vectors)
        vectors = functional.normalize(vectors, dim=-1) if head.normalize else vectors
        states = {"hidden_states": found.hidden_states} if output_hidden_states else {}
        return ModelOutput({VECTOR: vectors, **states})

    def save_pretrained(self, save_directory: str | os.PathLike, **options: Any) -> None:
        """Write it as sentence-transformers and, of the encoder alone, the Auto classes read it."""
        self.encoder.save_pretrained(save_directory, **options)
        write_modules(cast(PreTrainedModel, self), save_directory)


def pooled(states: Tensor, attention_mask: Tensor | None, pooling: Pooling) -> Tensor:
    """Return what is read of each text's tokens `(B, T, D)`, padded on the right: `(B, D)`."""
    if pooling == "cls":
        return states[:, 0]
    if attention_mask is None:
        return states.mean(1) if pooling == "mean" else states[:, -1]
    if pooling == "mean":
        real = attention_mask.to(states.dtype)[..., None]
        return (states * real).sum(1) / real.sum(1).clamp(min=1e-9)
    last = (attention_mask.long().sum(1) - 1).clamp(min=0)
    return states[torch.arange(len(states), device=states.device), last]


@cache
def embedding_class(encoder: type[PreTrainedModel]) -> type[PreTrainedModel]:
    """Return the class of models for embedding around encoders of a class, such as `BertModel`."""
    family = next(
        kind for kind in encoder.__mro__ if kind.__name__.endswith("PreTrainedModel") and kind is not PreTrainedModel
    )
    name = f"{encoder.__name__.removesuffix('Model')}ForEmbedding"
    made: Any = type(name, (ForEmbedding, family), {"encoder_class": encoder, "__module__": __name__})
    return made


def encoder_class(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class of plain encoders that a configuration is of."""
    known: Any = modeling_auto.MODEL_MAPPING
    return known[type(config)]


@torch.no_grad()
def embedder(
    encoder: PreTrainedModel, head: SentenceHead, linear: Mapping[str, Tensor] | None = None
) -> PreTrainedModel:
    """Return a model for embedding around an encoder, whose weights it shares, in evaluation mode.

    Args:
        encoder: a plain one, or an extracted one.
        head: what makes vectors of its states.
        linear: `weight` `(C, D)` and perhaps `bias`; None for the identity.
    """
    head.describe(encoder.config)
    width = int(encoder.config.hidden_size)
    with torch.device("meta"):  # there transformers draws no weights: the encoder has its own
        made: Any = embedding_class(type(encoder))(encoder.config, encoder)  # pyright: ignore[reportCallIssue]
    values = linear or {"weight": torch.eye(head.width, width)}
    made.projection = nn.Linear(width, head.width, bias=head.bias, device=encoder.device)
    for name, tensor in values.items():
        getattr(made.projection, name).copy_(tensor)
    return made.to(encoder.dtype).eval()


def _without_pooler(kind: type[PreTrainedModel], config: PreTrainedConfig) -> PreTrainedModel:
    made: Any = kind(config)
    if getattr(made, "pooler", None) is not None:
        made.pooler = None
    return made
