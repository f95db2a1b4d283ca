"""The forward pass of a subnetwork, on slices, for every family: post-LayerNorm blocks as in BERT.

It is a function of its weights, so one code serves training (leaf slices with gradients), evaluation (slices laid out
once) and any method that computes weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from .attention import attend, drop
from .families import Dropout, HeadPaths, ModelFamily
from .families.activations import Activation
from .heads import real_tokens

Weights = Mapping[str, Tensor]
NO_DROPOUT = Dropout()


@dataclass(frozen=True)
class Architecture:
    """What the forward pass must know beside the weights.

    Attributes:
        family: where parts are.
        head: the head's.
        reads_tokens: it reads each real token, and not the first one of a text alone.
        num_layers: L.
        head_size: of an attention head.
        epsilon: of the LayerNorms.
        pad_token_id: of padding.
        activation: of the neurons.
    """

    family: ModelFamily
    head: HeadPaths
    reads_tokens: bool
    num_layers: int
    head_size: int
    epsilon: float
    pad_token_id: int
    activation: Activation


def embedding_rows(architecture: Architecture, input_ids: Tensor, token_type_ids: Tensor | None) -> dict[str, Tensor]:
    """Return, by path of the table, which rows a batch adds up: int64, `(B, T)` or `(1, T)`."""
    paths = architecture.family.embeddings
    if architecture.family.positions_from_padding:
        real = input_ids != architecture.pad_token_id
        positions = torch.cumsum(real.long(), dim=1) * real + architecture.pad_token_id
    else:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
    rows = {paths.word: input_ids, paths.position: positions}
    if paths.token_type is not None:
        rows[paths.token_type] = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
    return rows


def embed(architecture: Architecture, parameters: Weights, input_ids: Tensor, token_type_ids: Tensor | None) -> Tensor:
    """Add up the embedding tables' rows, before the LayerNorm: `(B, T, E)`, the same for all subnetworks."""
    rows = embedding_rows(architecture, input_ids, token_type_ids)
    parts = [functional.embedding(ids, parameters[f"{path}.weight"]) for path, ids in rows.items()]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


class SharedStates(Protocol):
    """All tokens' states of one batch, which subnetworks that begin with the same layers have in common."""

    def deepest(self, most: int) -> tuple[int, Tensor] | None:
        """Return the state `(B, T, D)` after the largest known number of layers up to `most`, and that number."""
        ...

    def offer(self, depth: int, state: Tensor) -> None:
        """Take the state `(B, T, D)` after `depth` layers, or leave it; nobody writes to it any more."""
        ...


@dataclass(frozen=True)
class Encoded:
    """The states of those tokens that the head reads, R in all, with the deepest layer not yet finished.

    Where these are first tokens, a single row of each text, the batches of an evaluation are joined for what is left of
    that layer: one matrix product in place of many thin ones.

    Attributes:
        states: `{depth: (R, D)}` before the deepest layer with blocks; the last of them is its input.
        layer: that layer, counted from 0; None if all are dropped.
        context: `(R, H * d)`, its attention's output before the output projection; None if it has no heads.
        wanted: the depths asked for.
    """

    states: dict[int, Tensor]
    layer: int | None
    context: Tensor | None
    wanted: tuple[int, ...]

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """Join the texts of several batches of one subnetwork."""
        first = parts[0]
        if len(parts) == 1:
            return first
        states = {depth: torch.cat([part.states[depth] for part in parts]) for depth in first.states}
        contexts = [part.context for part in parts if part.context is not None]
        return cls(states, first.layer, torch.cat(contexts) if contexts else None, first.wanted)


def encode(
    architecture: Architecture,
    weights: Weights,
    embedded: Tensor,
    keep: Tensor | None,
    *,
    dropout: Dropout = NO_DROPOUT,
    readouts: Iterable[int] | None = None,
    shared: SharedStates | None = None,
) -> Encoded:
    """Run the kept blocks and keep the states that the head reads after the layers asked for.

    Dropped blocks pass their input through, so the state after layer d is exactly what the subnetwork cut after d
    layers computes: one pass serves all depths (Klein et al., TMLR 2024: removed layers are the identity). The deepest
    layer is left at its attention, for the tokens that are read; :func:`finish` does the rest.

    Args:
        architecture: family and sizes.
        weights: the subnetwork's slices, keyed as `elastic.pieces` does.
        embedded: `(B, T, E)`, :func:`embed`'s sum, columns already cut to the kept residual width.
        keep: `(B, T)` bool, False for padding, or None.
        dropout: rates while training.
        readouts: depths wanted; None for the whole subnetwork's only, `num_layers`.
        shared: states of the same batch that other subnetworks have left, and are left for them; without dropout.
    """
    wanted = (architecture.num_layers,) if readouts is None else tuple(readouts)
    with_blocks = [layer for layer in range(max(wanted)) if _has_blocks(weights, layer)]
    if not with_blocks:
        x = start(architecture, weights, embedded, dropout)
        return Encoded({0: what_is_read(architecture, x, keep)}, None, None, wanted)
    last = with_blocks[-1]
    known = None if shared is None else shared.deepest(min(last, *wanted))  # of a depth before it nothing would be left
    begin, x = known or (0, start(architecture, weights, embedded, dropout))
    states: dict[int, Tensor] = {}
    for layer in range(begin, last):
        if layer in wanted:
            states[layer] = what_is_read(architecture, x, keep)
        if _has_blocks(weights, layer):
            context = attention_context(architecture, weights, layer, x, keep, dropout.attention)
            x = _block(architecture, weights, layer, x, context, dropout)
            if shared is not None:
                shared.offer(layer + 1, x)
    states[last] = what_is_read(architecture, x, keep)
    first_only = not architecture.reads_tokens
    context = attention_context(architecture, weights, last, x, keep, dropout.attention, first_only=first_only)
    return Encoded(states, last, None if context is None else what_is_read(architecture, context, keep), wanted)


def what_is_read(architecture: Architecture, states: Tensor, keep: Tensor | None) -> Tensor:
    """Return what a head reads of all tokens' states `(B, T, D)`: `(R, D)`.

    Args:
        architecture: whether the first tokens or all real ones are read.
        states: of a layer.
        keep: `(B, T)` bool, False for padding, or None.
    """
    if architecture.reads_tokens:
        return real_tokens(states, keep)
    return states[:, 0].contiguous()  # a view would keep all tokens' states alive


def finish(
    architecture: Architecture, weights: Weights, encoded: Encoded, dropout: Dropout = NO_DROPOUT
) -> dict[int, Tensor]:
    """Do what :func:`encode` left of the deepest layer: `{depth: (R, D)}` for the depths that were asked for."""
    states = encoded.states
    deepest = states[max(states)]
    if encoded.layer is not None:
        deepest = _block(architecture, weights, encoded.layer, deepest, encoded.context, dropout)
    return {depth: states[depth] if depth <= max(states) else deepest for depth in encoded.wanted}


def classify(architecture: Architecture, weights: Weights, state: Tensor, dropout: Dropout = NO_DROPOUT) -> Tensor:
    """Turn the states that are read `(R, D)` into outputs `(R, C)`."""
    head = architecture.head
    if head.drops_input:
        state = drop(state, dropout.head)
    if head.activation is not None:
        state = drop(head.activation(linear(weights, "head.dense", state)), dropout.head)
    return linear(weights, "head.classifier", state)


def start(architecture: Architecture, weights: Weights, embedded: Tensor, dropout: Dropout = NO_DROPOUT) -> Tensor:
    """Return the first layer's input `(B, T, D)`."""
    x = drop(norm(architecture, weights, "embeddings.norm", embedded), dropout.hidden)
    return linear(weights, "embeddings.projection", x) if "embeddings.projection.weight" in weights else x


def all_states(
    architecture: Architecture, weights: Weights, embedded: Tensor, keep: Tensor | None, dropout: Dropout = NO_DROPOUT
) -> list[Tensor]:
    """Run the kept blocks and return all tokens' states `(B, T, D)`: the first layer's input, then after each layer.

    A dropped layer's state is that of the layer before it. Arguments are :func:`encode`'s.
    """
    states = [start(architecture, weights, embedded, dropout)]
    for layer in range(architecture.num_layers):
        x = states[-1]
        if _has_blocks(weights, layer):
            context = attention_context(architecture, weights, layer, x, keep, dropout.attention)
            x = _block(architecture, weights, layer, x, context, dropout)
        states.append(x)
    return states


def _has_blocks(weights: Weights, layer: int) -> bool:
    return f"{layer}.qkv.weight" in weights or f"{layer}.ffn_in.weight" in weights


def _block(
    architecture: Architecture, weights: Weights, layer: int, x: Tensor, context: Tensor | None, dropout: Dropout
) -> Tensor:
    """Do a layer's work after attention on states `(..., D)`; each row by itself."""
    if context is not None:
        output = drop(linear(weights, f"{layer}.attention_output", context), dropout.hidden)
        x = norm(architecture, weights, f"{layer}.attention_norm", _add(output, x))
    if f"{layer}.ffn_in.weight" in weights:
        output = drop(
            linear(weights, f"{layer}.ffn_out", neuron_outputs(architecture, weights, layer, x)), dropout.hidden
        )
        x = norm(architecture, weights, f"{layer}.ffn_norm", _add(output, x))
    return x


def attention_context(
    architecture: Architecture,
    weights: Weights,
    layer: int,
    x: Tensor,
    keep: Tensor | None,
    dropout: float,
    *,
    first_only: bool = False,
) -> Tensor | None:
    """Return the heads' outputs `(B, T, H * d)`, or `(B, 1, H * d)` for the first tokens only; None without heads."""
    if f"{layer}.qkv.weight" not in weights:
        return None
    batch = len(x)
    weight, bias = weights[f"{layer}.qkv.weight"], weights[f"{layer}.qkv.bias"]
    width = len(bias) // 3
    if first_only:
        query = functional.linear(x[:, :1], weight[:width], bias[:width])
        key, value = functional.linear(x, weight[width:], bias[width:]).split(width, dim=2)
    else:
        query, key, value = functional.linear(x, weight, bias).split(width, dim=2)

    def by_head(tensor: Tensor) -> Tensor:
        return tensor.view(batch, tensor.shape[1], -1, architecture.head_size).transpose(1, 2)

    return attend(by_head(query), by_head(key), by_head(value), keep, dropout)


def neuron_outputs(architecture: Architecture, weights: Weights, layer: int, x: Tensor) -> Tensor:
    """Return what a feed-forward block's neurons give, `(..., F)`, for its input `(..., D)`."""
    return architecture.activation(linear(weights, f"{layer}.ffn_in", x))


def linear(weights: Weights, key: str, x: Tensor) -> Tensor:
    """Apply the linear map of that key."""
    return functional.linear(x, weights[f"{key}.weight"], weights[f"{key}.bias"])


def norm(architecture: Architecture, weights: Weights, key: str, x: Tensor) -> Tensor:
    """Apply the LayerNorm of that key.

    Where `weights` has `{key}.kept`, `(D,)` of 0 and 1, `x` is zero in the other dimensions, which count neither in the
    mean nor in the variance, and the result is too if weight and bias are.
    """
    weight, bias, epsilon = weights[f"{key}.weight"], weights[f"{key}.bias"], architecture.epsilon
    kept = weights.get(f"{key}.kept")
    if kept is not None:
        # Filled up with the mean of the n others, all D dimensions have their mean, and n / D times their variance.
        share = kept.float().mean().item()
        x = torch.addcmul(x, x.mean(dim=-1, keepdim=True) / share, 1 - kept)
        weight, epsilon = weight * share**0.5, epsilon * share
    return functional.layer_norm(x, weight.shape, weight, bias, epsilon)


def _add(output: Tensor, residual: Tensor) -> Tensor:
    # In place where no gradient needs the sum's parts: one pass over memory less.
    return output + residual if output.requires_grad else output.add_(residual)
