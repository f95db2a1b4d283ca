"""From numbers of single weights to numbers of heads and neurons."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...supernet import Supernet


def sum_over_units(supernet: Supernet, weight_score: Callable[[str, str], Tensor]) -> tuple[Tensor, Tensor]:
    """Add up what belongs to each unit.

    A head has its rows of query, key and value with their biases, and its columns of the output projection; a neuron
    its rows of the first linear maps with their biases, and its column of the second. The biases after the blocks
    belong to no unit.

    Args:
        supernet: where the weights are.
        weight_score: from the path of a linear map and `weight` or `bias` to a tensor of that parameter's shape.

    Returns:
        heads `(L, H)` and neurons `(L, F)`.
    """
    shape = supernet.shape

    def into(layer: int, part: str) -> Tensor:
        """Add up the rows of what a unit is made from."""
        total = None
        for path in supernet.family.layer_paths(layer, part):
            rows = weight_score(path, "weight").sum(1)
            if f"{path}.bias" in supernet.parameters:
                rows = rows + weight_score(path, "bias")
            rows = rows.view(supernet.family.stacked(part), -1).sum(0)
            total = rows if total is None else total + rows
        assert total is not None
        return total

    def out_of(layer: int, part: str) -> Tensor:
        return weight_score(supernet.family.layer_path(layer, part), "weight").sum(0)

    layers = range(shape.num_layers)
    width = torch.stack([into(layer, "qkv") + out_of(layer, "attention_output") for layer in layers])
    neurons = torch.stack([into(layer, "ffn_in") + out_of(layer, "ffn_out") for layer in layers])
    return width.view(shape.num_layers, shape.num_heads, shape.head_size).sum(2), neurons
