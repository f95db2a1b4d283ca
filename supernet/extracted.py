"""Layers that keep different heads and neurons: Hugging Face's own forward pass on layers of other sizes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from .extracted_configs import PREFIX, ExtractedConfig, ExtractedElectraConfig
from .families import FAMILIES, ModelFamily
from .heads import head_of

ATTENTION, FFN = "attention", "mlp"  # the names of the two blocks in per_layer_config's "skip"


# No class here may have "Attention" in its name: by that word in a model's module, transformers decides whether the
# attention implementation can be changed (`set_attn_implementation`), and looks for code that stays in its own modules.


class PassInput(nn.Module):
    """Stands for a dropped attention with its residual connection and LayerNorm: the input passes through."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return `hidden_states` and no attention weights."""
        return hidden_states, None


class PassResidual(nn.Module):
    """Stands for the second half of a dropped feed-forward block, which receives the block's input as well."""

    def forward(self, hidden_states: Tensor, input_tensor: Tensor) -> Tensor:
        """Return the block's input."""
        return input_tensor


class ZeroContext(nn.Module):
    """Stands for a dropped attention whose caller adds the residual: adds nothing."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, None]:
        """Return a zero that broadcasts, and no attention weights."""
        return hidden_states.new_zeros(()), None


class Zero(nn.Module):
    """Stands for a dropped feed-forward layer whose caller adds the residual: adds nothing."""

    def forward(self, hidden_states: Tensor) -> Tensor:
        """Return a zero that broadcasts."""
        return hidden_states.new_zeros(())


Bypass = dict[str, dict[str, Callable[[], nn.Module]]]
_BERT_LIKE: Bypass = {
    ATTENTION: {"attention": PassInput},
    FFN: {"intermediate": nn.Identity, "output": PassResidual},
}
_DISTILBERT: Bypass = {
    ATTENTION: {"attention": ZeroContext, "sa_layer_norm": nn.Identity},
    FFN: {"ffn": Zero, "output_layer_norm": nn.Identity},
}
# What replaces which module of a layer when a block is dropped, by family.
BYPASSES: dict[str, Bypass] = {
    "bert": _BERT_LIKE,
    "roberta": _BERT_LIKE,
    "distilbert": _DISTILBERT,
    "electra": _BERT_LIKE,
}


@dataclass(frozen=True)
class LayerSizes:
    """Heads and neurons of one layer; 0 for a dropped block."""

    heads: int
    neurons: int


def layer_sizes(config: ExtractedConfig) -> list[LayerSizes]:
    """Read the sizes of each layer from an extracted model's configuration."""
    neurons = family_of_extracted(config).intermediate_size
    sizes = []
    for layer in config.per_layer_config:
        skip = getattr(layer, "skip", ())
        sizes.append(
            LayerSizes(
                heads=0 if ATTENTION in skip else int(layer.num_attention_heads),  # pyright: ignore[reportAttributeAccessIssue]
                neurons=0 if FFN in skip else int(getattr(layer, neurons)),
            )
        )
    return sizes


def family_of_extracted(config: ExtractedConfig) -> ModelFamily:
    """Return the family an extracted model was cut from."""
    return FAMILIES[config.model_type.removeprefix(PREFIX)]


def _stub(config: ExtractedConfig) -> ExtractedConfig:
    """Return a configuration that Hugging Face's constructors accept, with layers of one head and one neuron.

    One head divides any hidden size, which the constructors insist on; what they build too wide is replaced at once.
    """
    stub = copy.deepcopy(config)
    stub.per_layer_config = None
    stub.num_attention_heads = 1
    setattr(stub, family_of_extracted(config).intermediate_size, 1)
    return stub


def _fit(model: PreTrainedModel, config: ExtractedConfig) -> None:
    """Give the layers and the head of a freshly made model the sizes of the configuration."""
    family = family_of_extracted(config)
    hidden, bypass = int(config.hidden_size), BYPASSES[family.model_type]
    layers = model.get_submodule(family.layers)
    for layer, sizes in zip(layers.children(), layer_sizes(config), strict=True):
        paths = family.layer
        if sizes.heads:
            _fit_attention(layer, family, hidden, sizes.heads, config.head_dim)
        if sizes.neurons:
            layer.set_submodule(paths.ffn_in, nn.Linear(hidden, sizes.neurons))
            layer.set_submodule(paths.ffn_out, nn.Linear(sizes.neurons, hidden))
        for block, kept in ((ATTENTION, sizes.heads), (FFN, sizes.neurons)):
            if not kept:
                for path, replacement in bypass[block].items():
                    layer.set_submodule(path, replacement())
    head = family.heads[head_of(model)]
    if head.dense is not None:
        model.set_submodule(head.dense, nn.Linear(hidden, config.classifier_size))
    read = hidden if head.dense is None else config.classifier_size
    model.set_submodule(head.classifier, nn.Linear(read, int(config.num_labels or 0)))
    if isinstance(config, ExtractedElectraConfig):
        _fit_projection(model.get_submodule(family.base), config)


def _fit_attention(layer: nn.Module, family: ModelFamily, hidden: int, heads: int, head_size: int) -> None:
    paths, width = family.layer, heads * head_size
    for path in (paths.query, paths.key, paths.value):
        layer.set_submodule(path, nn.Linear(hidden, width))
    layer.set_submodule(paths.attention_output, nn.Linear(width, hidden))
    attention = layer.get_submodule(paths.query.rpartition(".")[0])
    names = {"num_attention_heads": heads, "n_heads": heads, "all_head_size": width, "dim": width}
    names |= {"attention_head_size": head_size, "scaling": head_size**-0.5}
    for name, value in names.items():
        if hasattr(attention, name):
            setattr(attention, name, value)


def _fit_projection(base: nn.Module, config: ExtractedElectraConfig) -> None:
    if config.project_embeddings:
        base.embeddings_project = nn.Linear(config.embedding_size, config.hidden_size)
    elif hasattr(base, "embeddings_project"):
        raise ValueError(
            f"embeddings of width {config.embedding_size} do not fit a residual stream of {config.hidden_size} without "
            "a projection; set project_embeddings in the configuration"
        )


class ExtractedModel:
    """What the extracted models share: Hugging Face's model is made first, then its layers get their sizes.

    Abstract; comes before a Hugging Face class among the bases. No full-size weight is ever made under
    `from_pretrained`, which builds on the meta device.
    """

    def __init__(self, config: ExtractedConfig, *arguments: Any, **options: Any) -> None:
        stub = _stub(config)
        super().__init__(stub, *arguments, **options)  # pyright: ignore[reportCallIssue]
        config._attn_implementation = stub._attn_implementation  # resolved by the constructor
        for module in self.modules():  # pyright: ignore[reportAttributeAccessIssue]
            if getattr(module, "config", None) is stub:
                module.config = config
        _fit(self, config)  # pyright: ignore[reportArgumentType]
        self.post_init()  # pyright: ignore[reportAttributeAccessIssue]
