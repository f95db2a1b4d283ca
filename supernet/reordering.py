"""Heads and neurons in another order, without any change to what the whole model computes."""

from __future__ import annotations

import numpy as np
import torch

from ..search_space import UnitScores
from .supernet import Supernet


@torch.no_grad()
def reorder(supernet: Supernet, scores: UnitScores) -> None:
    """Sort the heads and the neurons of every layer in place, the most important first.

    "The first k", which is all that most search spaces can keep, then means "the best k". The whole model's outputs
    stay what they are but for rounding; masks made before no longer mean the same units.

    A head is its rows of query, key and value and its columns of the output projection; a neuron its row of the first
    linear map and its column of the second. Blocks are sums over them, so their order is nobody's concern.

    Args:
        supernet: changed.
        scores: of each unit.

    Raises:
        ValueError: scores of another encoder.
    """
    shape = supernet.shape
    expected = (shape.num_layers, shape.num_heads), (shape.num_layers, shape.intermediate_size)
    if (scores.heads.shape, scores.neurons.shape) != expected:
        raise ValueError(
            f"this encoder needs scores of heads {expected[0]} and neurons {expected[1]}, got {scores.heads.shape} and "
            f"{scores.neurons.shape}"
        )
    for layer in range(shape.num_layers):
        within = np.arange(shape.head_size)
        rows = (scores.head_order[layer][:, None] * shape.head_size + within).ravel()
        _permute(supernet, layer, ("query", "key", "value"), "attention_output", rows)
        _permute(supernet, layer, ("ffn_in",), "ffn_out", scores.neuron_order[layer])


def _permute(supernet: Supernet, layer: int, into: tuple[str, ...], out_of: str, order: np.ndarray) -> None:
    """Permute the units between linear maps: rows and biases of those that lead to them, columns of what follows."""
    index = torch.from_numpy(order).to(supernet.device)
    for part in into:
        path = supernet.family.layer_path(layer, part)
        for name in (f"{path}.weight", f"{path}.bias"):
            parameter = supernet.parameters[name]
            parameter.copy_(parameter.index_select(0, index))
    weight = supernet.parameters[f"{supernet.family.layer_path(layer, out_of)}.weight"]
    weight.copy_(weight.index_select(1, index))
