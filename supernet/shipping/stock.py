"""Extracted models that transformers can express without us."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, cast

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from ...errors import InputError
from ..extraction import NOT_INHERITED, copy_buffers
from ..families.family import SENTENCE
from ..modeling_secateur import ExtractedFields, ExtractedModel, layer_sizes
from ..packed.packed import slab_linears
from ..sentence import PROJECTION, ForEmbedding, embedder
from ..sentence_head import SentenceHead


def not_stock(model: PreTrainedModel) -> str | None:
    """Say what about a model no plain model of its family can have; None if one can be it.

    Those have layers that are all alike, whose heads make up the width of the residual stream, which the head reads.
    """
    if isinstance(model, ForEmbedding):
        return not_stock(model.encoder)
    if not isinstance(model, ExtractedModel):
        return None
    config: Any = model.config
    sizes, width = layer_sizes(config), int(config.hidden_size)
    if any(not (one.heads and one.neurons) for one in sizes):
        return "a layer that is dropped by half"
    if len({one.heads for one in sizes}) > 1:
        return "layers of different numbers of heads"
    if len({one.neurons for one in sizes}) > 1:
        return "layers of different numbers of neurons"
    if any(one.heads * config.head_dim != width for one in sizes) or width % config.head_dim:
        return f"heads of width {config.head_dim} that do not make up the {width} of its residual stream"
    if model.wide is not None and config.classifier_size != width:
        return f"a classifier of width {config.classifier_size} on a residual stream of {width}"
    return config.own_parts()


def stock_model(model: PreTrainedModel) -> PreTrainedModel:
    """Return the same model as a plain one of transformers, which shares its weights; itself if it is one already.

    Args:
        model: what `extract` returned, or an ordinary model. Removed groups of packed matrices become zeros.

    Raises:
        InputError: it is extracted and no plain model can be it.
    """
    if isinstance(model, ForEmbedding):
        return _stock_embedder(model)
    plain = _plain_class(model)
    if reason := not_stock(model):
        family = plain.__name__.partition("For")[0]
        raise InputError(f"a stock {family} cannot have {reason}; choose the form `portable`, or `auto`")
    slabs = slab_linears(model)
    if type(model) is plain and not slabs:
        return model
    sizes: dict[str, int] = {}
    if isinstance(model, ExtractedModel):
        cut: Any = model.config
        for layer in layer_sizes(cut)[:1]:  # all layers have them
            heads = cut.attribute_map.get("num_attention_heads", "num_attention_heads")
            sizes = {heads: layer.heads, cut.neurons_field: layer.neurons}
    config = plain_config(model, sizes)
    config._attn_implementation = model.config._attn_implementation
    with torch.device("meta"):
        made: Any = plain(config)
    if getattr(model, "pooler", made) is None:
        made.pooler = None  # of an encoder that makes vectors: nothing reads it
    prefixes = tuple(f"{path}." for path in slabs)
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(prefixes)}
    for path, module in slabs.items():
        state[f"{path}.weight"] = module.whole().detach()
        if module.bias is not None:
            state[f"{path}.bias"] = module.bias.detach()
    made.load_state_dict(state, assign=True)
    copy_buffers(model, made)
    return made.eval()


def _stock_embedder(model: ForEmbedding) -> PreTrainedModel:
    """Return a model for embedding around a plain encoder; itself if its encoder is one."""
    encoder, projection = stock_model(model.encoder), cast(nn.Module, model).get_submodule(PROJECTION)
    head = SentenceHead.of(model.encoder.config)
    return embedder(encoder, head, {name: tensor.detach() for name, tensor in projection.named_parameters()})


def plain_config(model: PreTrainedModel, sizes: Mapping[str, int] = MappingProxyType({})) -> PreTrainedConfig:
    """Return what a plain model of the family would have as its configuration.

    It says what a model is to programs that read its labels, tokens and positions, and run its file in another format.

    Args:
        model: extracted or not.
        sizes: numbers of heads and of neurons, by what the configuration calls them; the whole model's if none are
            given, which layers that differ have no numbers for.
    """
    if isinstance(model, ForEmbedding):
        encoder = plain_config(model.encoder, sizes)
        if hasattr(encoder, SENTENCE):
            delattr(encoder, SENTENCE)  # which other files say on the disk
        return encoder
    config: Any = model.config
    plain = _plain_class(model)
    if not isinstance(model, ExtractedModel):
        made = copy.deepcopy(config)
        made.architectures = [plain.__name__]  # of a model that was never saved
        return made
    assert plain.config_class is not None
    ours = {field.name for field in fields(config)} - {field.name for field in fields(plain.config_class)}
    own = {*NOT_INHERITED, *ours, *(field.name for field in fields(ExtractedFields)), "per_layer_config"}
    values = {name: value for name, value in config.to_dict().items() if name not in own}
    made = plain.config_class(**{**values, **sizes})
    made.architectures = [plain.__name__]
    return made


def _plain_class(model: PreTrainedModel) -> type[PreTrainedModel]:
    return next(kind for kind in type(model).__mro__ if kind.__module__.startswith("transformers.models."))
