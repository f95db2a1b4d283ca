"""The forward pass of a subnetwork, on slices, for every family.

It is a function of its weights, so one code serves training (leaf slices with gradients), evaluation (slices laid out
once) and any method that computes weights of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from .architecture import Architecture, Weights, linear, norm, seen, settled
from .attention import drop
from .families import Dropout
from .heads import real_tokens
from .self_attention import attention_context

NO_DROPOUT = Dropout()


def embedding_rows(architecture: Architecture, input_ids: Tensor, token_type_ids: Tensor | None) -> dict[str, Tensor]:
    """Return, by path of the table, which rows a batch adds up: int64, `(B, T)` or `(1, T)`."""
    paths = architecture.embeddings
    rows = {paths.word: input_ids}
    if paths.position is not None:
        if architecture.family.positions_from_padding:
            real = input_ids != architecture.pad_token_id
            rows[paths.position] = torch.cumsum(real.long(), dim=1) * real + architecture.pad_token_id
        else:
            rows[paths.position] = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
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
        counts: how many of the rows each text has, `(B,)`, where the head reads their mean or the last; else None.
    """

    states: dict[int, Tensor]
    layer: int | None
    context: Tensor | None
    wanted: tuple[int, ...]
    counts: Tensor | None = None

    @classmethod
    def joined(cls, parts: Sequence[Encoded]) -> Encoded:
        """Join the texts, of which first tokens are read, of several batches of one subnetwork."""
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
    counts = text_lengths(architecture, embedded, keep)
    if not with_blocks:
        x = start(architecture, weights, embedded, keep, dropout)
        return Encoded({0: what_is_read(architecture, x, keep)}, None, None, wanted, counts)
    last = with_blocks[-1]
    known = None if shared is None else shared.deepest(min(last, *wanted))  # of a depth before it nothing would be left
    begin, x = known or (0, start(architecture, weights, embedded, keep, dropout))
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
    read = None if context is None else what_is_read(architecture, context, keep)
    return Encoded(states, last, read, wanted, counts)


def text_lengths(architecture: Architecture, states: Tensor, keep: Tensor | None) -> Tensor | None:
    """Return how many tokens a head takes the mean or the last one of, `(B,)`; None where it does not.

    Args:
        architecture: what is read.
        states: `(B, T, D)`.
        keep: `(B, T)` bool, False for padding, or None.
    """
    if architecture.reads not in ("mean", "last"):
        return None
    return states.new_full((len(states),), states.shape[1], dtype=torch.long) if keep is None else keep.sum(1)


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


def classify(
    architecture: Architecture,
    weights: Weights,
    state: Tensor,
    dropout: Dropout = NO_DROPOUT,
    counts: Tensor | None = None,
) -> Tensor:
    """Turn the states that are read `(R, D)` into outputs `(R, C)`, or `(B, C)` where a text's are made one.

    Args:
        architecture: what the head does.
        weights: the subnetwork's.
        state: of the last layer.
        dropout: rates while training.
        counts: :func:`text_lengths`.
    """
    head = architecture.head
    state = norm(architecture, weights, "final_norm", state)
    if counts is not None and architecture.reads == "last":
        state = state[(counts.cumsum(0) - 1).clamp(min=0)]
    elif counts is not None:
        state = torch.stack([rows.mean(0) if len(rows) else rows.sum(0) for rows in state.split(counts.tolist())])
    if head.drops_input:
        state = drop(state, dropout.head)
    if head.activation is not None:
        assert not isinstance(head.activation, str)  # resolved: `ModelFamily.head_paths`
        state = norm(architecture, weights, "head.norm", head.activation(linear(weights, "head.dense", state)))
        state = drop(state, dropout.head)
    outputs = linear(weights, "head.classifier", state)
    outputs = outputs if head.closing is None else head.closing(outputs)
    return functional.normalize(outputs, dim=-1) if head.normalizes else outputs


def start(
    architecture: Architecture,
    weights: Weights,
    embedded: Tensor,
    keep: Tensor | None,
    dropout: Dropout = NO_DROPOUT,
) -> Tensor:
    """Return the first layer's input `(B, T, D)`."""
    x = norm(architecture, weights, "embeddings.norm", embedded)
    if architecture.family.masks_embeddings and keep is not None:
        x = x * keep[:, :, None].to(x.dtype)
    x = drop(x, dropout.embeddings)
    return linear(weights, "embeddings.projection", x) if "embeddings.projection.weight" in weights else x


def all_states(
    architecture: Architecture, weights: Weights, embedded: Tensor, keep: Tensor | None, dropout: Dropout = NO_DROPOUT
) -> list[Tensor]:
    """Run the kept blocks and return all tokens' states `(B, T, D)`: the first layer's input, then after each layer.

    A dropped layer's state is that of the layer before it. Arguments are :func:`encode`'s.
    """
    states = [start(architecture, weights, embedded, keep, dropout)]
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
        output = drop(linear(weights, f"{layer}.attention_output", context), dropout.attention_output)
        x = settled(architecture, weights, f"{layer}.attention_norm", _add(output, x))
    if f"{layer}.ffn_in.weight" in weights:
        neurons = drop(neuron_outputs(architecture, weights, layer, x), dropout.neurons)
        output = drop(linear(weights, f"{layer}.ffn_out", neurons), dropout.ffn_output)
        x = settled(architecture, weights, f"{layer}.ffn_norm", _add(output, x))
    return x


def neuron_outputs(architecture: Architecture, weights: Weights, layer: int, x: Tensor) -> Tensor:
    """Return what a feed-forward block's neurons give, `(..., F)`, from the residual stream before it, `(..., D)`."""
    given = linear(weights, f"{layer}.ffn_in", seen(architecture, weights, f"{layer}.ffn_norm", x))
    if not architecture.family.gated:
        return architecture.activation(given)
    activated, factor = given.chunk(2, dim=-1)
    return architecture.activation(activated) * factor


def _add(output: Tensor, residual: Tensor) -> Tensor:
    # In place where no gradient needs the sum's parts: one pass over memory less.
    return output + residual if output.requires_grad else output.add_(residual)
