"""From numbers of single weights to numbers of heads and neurons."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ...supernet import Supernet


def sum_over_units(supernet: Supernet, weight_score: Callable[[str, str], Tensor]) -> tuple[Tensor, Tensor]:
    """Add up what belongs to each unit.

    A head has its rows of query, key and value with their biases, and its columns of the output projection; a neuron
    its row of the first linear map with its bias, and its column of the second. The biases after the blocks belong to
    no unit.

    Args:
        supernet: where the weights are.
        weight_score: from the path of a linear map and `weight` or `bias` to a tensor of that parameter's shape.

    Returns:
        heads `(L, H)` and neurons `(L, F)`.
    """
    shape = supernet.shape
    heads, neurons = [], []
    for layer in range(shape.num_layers):
        path = {part: supernet.family.layer_path(layer, part) for part in ("query", "key", "value")}
        rows = sum(_rows(weight_score, one) for one in path.values())
        assert isinstance(rows, Tensor)
        width = rows + weight_score(supernet.family.layer_path(layer, "attention_output"), "weight").sum(0)
        heads.append(width.view(shape.num_heads, shape.head_size).sum(1))
        first = _rows(weight_score, supernet.family.layer_path(layer, "ffn_in"))
        neurons.append(first + weight_score(supernet.family.layer_path(layer, "ffn_out"), "weight").sum(0))
    return torch.stack(heads), torch.stack(neurons)


def _rows(weight_score: Callable[[str, str], Tensor], path: str) -> Tensor:
    return weight_score(path, "weight").sum(1) + weight_score(path, "bias")
