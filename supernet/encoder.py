"""The forward pass of a subnetwork, on slices, for every family: post-LayerNorm blocks as in BERT.

It is a function of its weights, so one code serves training (leaf slices with gradients), evaluation (slices laid out
once) and any method that computes weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .attention import attend, drop
from .families import Dropout, ModelFamily

Weights = Mapping[str, Tensor]
NO_DROPOUT = Dropout()


@dataclass(frozen=True)
class Architecture:
    """What the forward pass must know beside the weights."""

    family: ModelFamily
    num_layers: int
    head_size: int
    epsilon: float
    pad_token_id: int


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


def encode(
    architecture: Architecture,
    weights: Weights,
    embedded: Tensor,
    keep: Tensor | None,
    *,
    dropout: Dropout = NO_DROPOUT,
    readouts: Iterable[int] | None = None,
) -> dict[int, Tensor]:
    """Run the kept blocks and return the first token's state after the layers asked for.

    Dropped blocks pass their input through, so the state after layer d is exactly what the subnetwork cut after d
    layers computes: one pass serves all depths (Klein et al., TMLR 2024: removed layers are the identity). The deepest
    layer computes its output for the first token only, which is all that a sequence classifier reads.

    Args:
        architecture: family and sizes.
        weights: the subnetwork's slices, keyed as `elastic.pieces` does.
        embedded: `(B, T, E)`, :func:`embed`'s sum, columns already cut to the kept residual width.
        keep: `(B, T)` bool, False for padding, or None.
        dropout: rates while training.
        readouts: depths wanted; None for the whole subnetwork's only, under the key `num_layers`.

    Returns:
        `{depth: (B, D)}`.
    """
    wanted = {architecture.num_layers} if readouts is None else set(readouts)
    x = _norm(architecture, weights, "embeddings.norm", embedded)
    x = drop(x, dropout.hidden)
    if "embeddings.projection.weight" in weights:
        x = _linear(weights, "embeddings.projection", x)
    states: dict[int, Tensor] = {}
    last = max((d for d in range(1, max(wanted) + 1) if _has_blocks(weights, d - 1)), default=0)
    for depth in range(max(wanted) + 1):
        if depth and _has_blocks(weights, depth - 1):
            x = _layer(architecture, weights, depth - 1, x, keep, dropout, first_only=depth == last)
        if depth in wanted:
            states[depth] = x[:, 0]
    return states


def classify(architecture: Architecture, weights: Weights, state: Tensor, dropout: Dropout = NO_DROPOUT) -> Tensor:
    """Turn the first token's state `(B, D)` into logits `(B, C)`."""
    head = architecture.family.head
    if head.drops_input:
        state = drop(state, dropout.head)
    hidden = drop(head.activation(_linear(weights, "head.dense", state)), dropout.head)
    return _linear(weights, "head.classifier", hidden)


def _has_blocks(weights: Weights, layer: int) -> bool:
    return f"{layer}.qkv.weight" in weights or f"{layer}.ffn_in.weight" in weights


def _layer(
    architecture: Architecture,
    weights: Weights,
    layer: int,
    x: Tensor,
    keep: Tensor | None,
    dropout: Dropout,
    *,
    first_only: bool,
) -> Tensor:
    queries = x[:, :1] if first_only else x
    if f"{layer}.qkv.weight" in weights:
        context = _attention(architecture, weights, layer, x, keep, dropout.attention, first_only=first_only)
        output = drop(_linear(weights, f"{layer}.attention_output", context), dropout.hidden)
        queries = _norm(architecture, weights, f"{layer}.attention_norm", _add(output, queries))
    if f"{layer}.ffn_in.weight" in weights:
        inner = functional.gelu(_linear(weights, f"{layer}.ffn_in", queries))
        output = drop(_linear(weights, f"{layer}.ffn_out", inner), dropout.hidden)
        queries = _norm(architecture, weights, f"{layer}.ffn_norm", _add(output, queries))
    return queries


def _attention(
    architecture: Architecture,
    weights: Weights,
    layer: int,
    x: Tensor,
    keep: Tensor | None,
    dropout: float,
    *,
    first_only: bool,
) -> Tensor:
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


def _linear(weights: Weights, key: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{key}.weight"], weights[f"{key}.bias"])


def _norm(architecture: Architecture, weights: Weights, key: str, x: Tensor) -> Tensor:
    weight = weights[f"{key}.weight"]
    return functional.layer_norm(x, weight.shape, weight, weights[f"{key}.bias"], architecture.epsilon)


def _add(output: Tensor, residual: Tensor) -> Tensor:
    # In place where no gradient needs the sum's parts: one pass over memory less.
    return output + residual if output.requires_grad else output.add_(residual)
