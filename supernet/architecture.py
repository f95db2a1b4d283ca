"""What the forward pass knows of an encoder beside its weights, and how it applies these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .families import EmbeddingPaths, HeadPaths, ModelFamily, Reads
from .families.activations import Activation
from .families.positions import LayerAttention

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Architecture:
    """What the forward pass must know beside the weights.

    Attributes:
        family: in what order parts are.
        embeddings: those that the model has.
        head: the head's parts.
        reads: what the head reads of a text.
        num_layers: L.
        head_size: of an attention head.
        attention: what each layer's attention knows of positions.
        epsilon: of the LayerNorms.
        pad_token_id: of padding.
        activation: of the neurons.
    """

    family: ModelFamily
    embeddings: EmbeddingPaths
    head: HeadPaths
    reads: Reads
    num_layers: int
    head_size: int
    attention: tuple[LayerAttention, ...]
    epsilon: float
    pad_token_id: int
    activation: Activation

    @property
    def reads_tokens(self) -> bool:
        """Whether all tokens go through the last layer, and not the first one of each text alone."""
        return self.reads != "first"


def settled(architecture: Architecture, weights: Weights, key: str, total: Tensor) -> Tensor:
    """Return a block's output from its sum with the residual stream: normalised, if its norm is not before it."""
    return total if architecture.family.pre_norm else norm(architecture, weights, key, total)


def seen(architecture: Architecture, weights: Weights, key: str, x: Tensor) -> Tensor:
    """Return what a block sees of the residual stream: normalised, if its norm is before it."""
    return norm(architecture, weights, key, x) if architecture.family.pre_norm else x


def linear(weights: Weights, key: str, x: Tensor) -> Tensor:
    """Apply the linear map of that key."""
    return functional.linear(x, weights[f"{key}.weight"], weights.get(f"{key}.bias"))


def norm(architecture: Architecture, weights: Weights, key: str, x: Tensor) -> Tensor:
    """Apply the LayerNorm of that key, if there is one.

    Where `weights` has `{key}.kept`, `(D,)` of 0 and 1, `x` is zero in the other dimensions, which count neither in the
    mean nor in the variance, and the result is too if weight and bias are.
    """
    weight, bias, epsilon = weights.get(f"{key}.weight"), weights.get(f"{key}.bias"), architecture.epsilon
    if weight is None:
        return x
    kept = weights.get(f"{key}.kept")
    if kept is not None:
        # Filled up with the mean of the n others, all D dimensions have their mean, and n / D times their variance.
        share = kept.float().mean().item()
        x = torch.addcmul(x, x.mean(dim=-1, keepdim=True) / share, 1 - kept)
        weight, epsilon = weight * share**0.5, epsilon * share
    return functional.layer_norm(x, weight.shape, weight, bias, epsilon)
