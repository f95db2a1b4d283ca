"""What a layer's heads make of the residual stream, given where its tokens are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .architecture import Architecture, Weights, norm, seen
from .attention import attend
from .families.positions import (
    Disentangled,
    LayerAttention,
    bucket,
    distances,
    embedded_distance,
    turned,
    turns,
)

# Added to the scores of tokens outside a window: nothing is left of them, and where all real tokens are outside of it,
# as they can be for padding, what comes out is still a number.
UNSEEN = -1e4


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
    x = seen(architecture, weights, f"{layer}.attention_norm", x)
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
