"""Masks multiplied into the weights, exactly: a folded subnetwork computes what the masked one does.

Where values of the residual stream are soft, the authors' code scales the input columns of what reads the stream, which
leaves the residual connection as it was: another function. Here each LayerNorm's weight and bias are scaled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.architecture import Weights
from ...supernet.elastic import Index, Pieces, cut
from .masks import MaskValues


def fold(weights: Weights, used: Pieces, values: MaskValues, supernet: Supernet) -> dict[str, Tensor]:
    """Return a subnetwork's weights with its masks' values multiplied into them; gradients flow into both.

    What a subnetwork keeps beyond what is not zero is multiplied by zero, and does not count in its LayerNorms.

    The value of a head goes into its columns of the output projection, that of a neuron into its outgoing column, that
    of a block, times that of a residual dimension, into the rows and the bias of its last linear map, and that of a
    residual dimension into the weight and the bias of each LayerNorm (of the embeddings' projection, where there is
    one). Where LayerNorms are before the blocks, what blocks add is scaled already, and only those dimensions that are
    zero count in them.

    Args:
        weights: the slices that `used` takes.
        used: of a subnetwork that keeps at least what is not zero (`MaskValues.kept`), and no unit of blocks that are.
        values: 0 to 1.
        supernet: whose they are.
    """
    shape, folded = supernet.shape, dict(weights)

    def scale(key: str, rows: Tensor, columns: Tensor | None = None) -> None:
        """Multiply; `rows` and `columns` are the whole encoder's."""
        piece, weight, bias = used[f"{key}.weight"], weights[f"{key}.weight"], weights.get(f"{key}.bias")
        rows = cut(rows, piece.rows).to(weight.dtype)
        if weight.ndim == 1 and not (rows > 0).all():
            folded[f"{key}.kept"] = (rows > 0).to(rows.dtype)
        if bias is not None:
            folded[f"{key}.bias"] = bias * rows
        if columns is not None:
            weight = weight * cut(columns, piece.columns).to(weight.dtype)
        folded[f"{key}.weight"] = weight * (rows[:, None] if weight.ndim > 1 else rows)

    scale("embeddings.projection" if "embeddings.projection.weight" in weights else "embeddings.norm", values.hidden)
    of_norms = (values.hidden > 0).to(values.hidden.dtype) if supernet.family.pre_norm else values.hidden

    def scale_norm(key: str) -> None:
        if f"{key}.weight" in weights:
            scale(key, of_norms)

    for layer in range(shape.num_layers):
        if f"{layer}.attention_output.weight" in weights:
            heads = values.heads[layer].repeat_interleave(shape.head_size)
            scale(f"{layer}.attention_output", values.attention[layer] * values.hidden, heads)
            scale_norm(f"{layer}.attention_norm")
        if f"{layer}.ffn_out.weight" in weights:
            scale(f"{layer}.ffn_out", values.ffn[layer] * values.hidden, values.neurons[layer])
            scale_norm(f"{layer}.ffn_norm")
    scale_norm("final_norm")
    if "distances.weight" in weights:
        kept = (values.hidden > 0).to(values.hidden.dtype) if "distances_norm.weight" in weights else values.hidden
        columns = cut(kept, used["distances.weight"].columns).to(weights["distances.weight"].dtype)
        folded["distances.weight"] = weights["distances.weight"] * columns
    scale_norm("distances_norm")
    return folded


def fold_embedded(embedded: Tensor, values: MaskValues, columns: Index) -> Tensor:
    """Return the sum of the embedding tables' rows `(B, T, D)` with the residual dimensions' values multiplied in.

    Args:
        embedded: columns already cut to those that are not zero.
        values: 0 to 1.
        columns: which they are.
    """
    return embedded * cut(values.hidden, columns).to(embedded.dtype)


@torch.no_grad()
def fold_into(supernet: Supernet, values: MaskValues) -> None:
    """Multiply masks into a model's own parameters, in place; the subnetwork of what is not zero is then exact.

    Args:
        supernet: the model.
        values: 0 to 1.
    """
    used = supernet.pieces(SubnetMask.full(supernet.shape))
    whole = {key: piece.take(supernet.parameters) for key, piece in used.items()}
    folded = fold(whole, used, values, supernet)
    for key, weight in whole.items():
        if folded[key] is not weight:  # a view of the one parameter that the piece is of
            weight.copy_(folded[key])
    if not supernet.projected:
        for name in supernet.embeddings.tables:
            supernet.parameters[f"{name}.weight"].mul_(values.hidden)
