"""The forward pass of a subnetwork, on slices, for every family.

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
from .families import Dropout, EmbeddingPaths, HeadPaths, ModelFamily, Reads
from .families.activations import Activation
from .families.positions import (
    Disentangled,
    LayerAttention,
    bucket,
    distances,
    embedded_distance,
    turned,
    turns,
)
from .heads import real_tokens

Weights = Mapping[str, Tensor]
NO_DROPOUT = Dropout()
# Added to the scores of tokens outside a window: nothing is left of them, and where all real tokens are outside of it,
# as they can be for padding, what comes out is still a number.
UNSEEN = -1e4


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


def settled(architecture: Architecture, weights: Weights, key: str, total: Tensor) -> Tensor:
    """Return a block's output from its sum with the residual stream: normalised, if its norm is not before it."""
    return total if architecture.family.pre_norm else norm(architecture, weights, key, total)


def _seen(architecture: Architecture, weights: Weights, key: str, x: Tensor) -> Tensor:
    """Return what a block sees of the residual stream: normalised, if its norm is before it."""
    return norm(architecture, weights, key, x) if architecture.family.pre_norm else x


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
    batch, positions = len(x), architecture.attention[layer]
    x = _seen(architecture, weights, f"{layer}.attention_norm", x)
    weight, bias = weights[f"{layer}.qkv.weight"], weights.get(f"{layer}.qkv.bias")
    width = len(weight) // 3
    if first_only:
        query = functional.linear(x[:, :1], weight[:width], None if bias is None else bias[:width])
        rest = functional.linear(x, weight[width:], None if bias is None else bias[width:])
        key, value = rest.split(width, dim=2)
    else:
        query, key, value = functional.linear(x, weight, bias).split(width, dim=2)

    def by_head(tensor: Tensor) -> Tensor:
        return tensor.view(batch, tensor.shape[1], -1, architecture.head_size).transpose(1, 2)

    query, key, value = by_head(query), by_head(key), by_head(value)
    if positions.rotary is not None:
        cosines, sines = turns(positions.rotary, x.shape[1], x.device, x.dtype)
        key = turned(key, cosines, sines)
        query = turned(query, cosines[: query.shape[2]], sines[: query.shape[2]])
    of_scores = _score_bias(positions, weights, layer, query.shape[2], x.shape[1], x)
    if positions.disentangled is not None:
        query = query * positions.disentangled.terms**-0.5
        of_scores = _met_distances(architecture, positions.disentangled, weights, layer, query, key)
    if architecture.family.padding_attends and keep is not None:
        empty = ~keep.any(dim=1)[:, None]
        if empty.any():  # all scores are alike
            keep, query = keep | empty, query.masked_fill(empty[:, :, None, None], 0.0)
            of_scores = None if of_scores is None else of_scores * (~empty[:, :, None, None]).to(of_scores.dtype)
    return attend(query, key, value, keep, dropout, of_scores)


def _score_bias(
    positions: LayerAttention, weights: Weights, layer: int, queries: int, keys: int, like: Tensor
) -> Tensor | None:
    """Return what is added to the scores of a layer's attention: `(1, H or 1, S, T)`; None if that is nothing.

    Args:
        positions: of the layer.
        weights: the subnetwork's.
        layer: counted from 0.
        queries: S, the first tokens of a text.
        keys: T.
        like: of the wanted precision, on the device.
    """
    bias = None
    table = weights.get(f"{layer}.relative_bias.weight")  # (32, H)
    if table is not None:
        bias = table[bucket(distances(keys, like.device)[:queries])].permute(2, 0, 1)[None]
    if positions.window is not None and keys > positions.window + 1:
        away = distances(keys, like.device)[:queries].abs() > positions.window
        far = torch.zeros(away.shape, dtype=like.dtype, device=like.device).masked_fill_(away, UNSEEN)[None, None]
        bias = far if bias is None else bias + far
    return bias


def _met_distances(
    architecture: Architecture, known: Disentangled, weights: Weights, layer: int, query: Tensor, key: Tensor
) -> Tensor | None:
    """Return what queries and keys make of the embeddings of distances: `(B, H, S, T)`; None if they do not meet.

    Args:
        architecture: whose layer it is.
        known: of the embeddings.
        weights: the subnetwork's.
        layer: counted from 0.
        query: `(B, H, S, d)`, of the first tokens of a text, over the root of the number of terms.
        key: `(B, H, T, d)`.
    """
    size, length = architecture.head_size, key.shape[2]
    embedded = norm(architecture, weights, "distances_norm", weights["distances.weight"])  # (2 K, D)
    weight, bias = weights[f"{layer}.qkv.weight"], weights.get(f"{layer}.qkv.bias")
    width = len(weight) // 3
    rows = embedded_distance(known, length, key.device)

    def projected(place: int) -> Tensor:
        """Return the distances' queries, 0, or keys, 1: `(H, d, 2 K)`."""
        part = slice(place * width, (place + 1) * width)
        found = functional.linear(embedded, weight[part], None if bias is None else bias[part])
        return found.view(len(found), -1, size).permute(1, 2, 0)

    total = None
    if known.to_position:
        met = torch.matmul(query, projected(1)) * size**-0.5
        total = met.gather(3, rows[: query.shape[2]].expand(*met.shape[:3], -1))
    if known.to_content:
        met = torch.matmul(key, projected(0)) * (size * known.terms) ** -0.5
        of_keys = met.gather(3, rows.T.expand(*met.shape[:3], -1)).transpose(2, 3)[:, :, : query.shape[2]]
        total = of_keys if total is None else total + of_keys
    return total


def neuron_outputs(architecture: Architecture, weights: Weights, layer: int, x: Tensor) -> Tensor:
    """Return what a feed-forward block's neurons give, `(..., F)`, from the residual stream before it, `(..., D)`."""
    given = linear(weights, f"{layer}.ffn_in", _seen(architecture, weights, f"{layer}.ffn_norm", x))
    if not architecture.family.gated:
        return architecture.activation(given)
    activated, factor = given.chunk(2, dim=-1)
    return architecture.activation(activated) * factor


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


def _add(output: Tensor, residual: Tensor) -> Tensor:
    # In place where no gradient needs the sum's parts: one pass over memory less.
    return output + residual if output.requires_grad else output.add_(residual)
