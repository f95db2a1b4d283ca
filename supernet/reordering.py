"""The order of units and of layers: heads and neurons are moved, of layers it is said which ones stay longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ..search_space import SubnetMask, UnitScores
from .elastic import below
from .supernet import Supernet

if TYPE_CHECKING:
    from ..tasks.batches import Batch
    from ..tasks.kinds import Kind


@torch.no_grad()
def reorder(supernet: Supernet, scores: UnitScores) -> None:
    """Sort the heads and the neurons of every layer in place, the most important first.

    "The first k", which is all that most search spaces can keep, then means "the best k". The whole model's outputs
    stay what they are but for rounding; masks made before no longer mean the same units.

    A head is its rows of query, key and value and its columns of the output projection; a neuron its rows of the first
    linear maps and its column of the second. Blocks are sums over them, so their order is nobody's concern. Where all
    layers share a table that belongs to heads (MPNet's biases by distance), all have their heads in one order, that of
    their mean rank.

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
    heads = head_order(supernet, scores)
    for layer in range(shape.num_layers):
        within = np.arange(shape.head_size)
        rows = (heads[layer][:, None] * shape.head_size + within).ravel()
        _permute(supernet, layer, "qkv", "attention_output", rows)
        _permute(supernet, layer, "ffn_in", "ffn_out", scores.neuron_order[layer])
    if supernet.family.relative_bias is not None:
        table = supernet.parameters[f"{supernet.family.relative_bias}.weight"]
        table.copy_(table[:, torch.from_numpy(heads[0].copy()).to(table.device)])


def head_order(supernet: Supernet, scores: UnitScores) -> NDArray[np.intp]:
    """Return the order in which :func:`reorder` puts each layer's heads, `(L, H)`."""
    order = scores.head_order
    if supernet.family.relative_bias is None:
        return order
    ranks = np.argsort(order, axis=1).sum(axis=0)
    return np.broadcast_to(np.argsort(ranks, kind="stable"), order.shape)


@torch.no_grad()
def reorder_width(supernet: Supernet, scores: NDArray[np.float64]) -> None:
    """Sort the dimensions of the residual stream in place, the most important first, as :func:`reorder` does units.

    Args:
        supernet: changed.
        scores: of each dimension, `(D,)`.

    Raises:
        ValueError: scores of another encoder.
    """
    shape = supernet.shape
    if np.shape(scores) != (shape.hidden_size,):
        raise ValueError(f"this encoder needs scores of {shape.hidden_size} dimensions, got shape {np.shape(scores)}")
    index = torch.from_numpy(np.argsort(-scores, kind="stable")).to(supernet.device)
    # Of a network that lacks nothing but a dimension, what is cut is what the dimensions lie along.
    all_units = [shape.num_heads] * shape.num_layers, [shape.intermediate_size] * shape.num_layers
    narrower = SubnetMask.from_counts(shape, *all_units, shape.hidden_size - 1)
    for piece in supernet.pieces(narrower).values():
        for parameter in (supernet.parameters[name] for name in piece.names):
            for axis, kept in ((0, piece.rows), (1, piece.columns)):
                if kept is not None:
                    parameter.copy_(parameter.index_select(axis, index))
    if not supernet.projected:
        for path in supernet.embeddings.tables:
            table = supernet.parameters[f"{path}.weight"]
            table.copy_(table.index_select(1, index))


def _permute(supernet: Supernet, layer: int, into: str, out_of: str, order: np.ndarray) -> None:
    """Permute the units between linear maps: rows and biases of those that lead to them, columns of what follows."""
    family = supernet.family
    index = torch.from_numpy(np.ascontiguousarray(order)).to(supernet.device)
    rows = below(index, family.stacked(into), len(order))
    for path in family.layer_paths(layer, into):
        for parameter in (supernet.parameters.get(f"{path}.{kind}") for kind in ("weight", "bias")):
            if parameter is not None:
                parameter.copy_(parameter.index_select(0, rows))
    weight = supernet.parameters[f"{family.layer_path(layer, out_of)}.weight"]
    weight.copy_(weight.index_select(1, index))


@torch.inference_mode()
def measured_layer_order(supernet: Supernet, batches: Sequence[Batch], kind: Kind) -> tuple[int, ...]:
    """Return the layers, `(L,)`, in the order in which networks of few layers are to keep them.

    Backward elimination: of the layers left, the one goes next without which the outputs stay closest to the whole
    model's (`Kind.soft_loss` at temperature 1), so labels do not count. That takes L (L + 1) / 2 passes.

    A head reads what the last layers make of a text, so that networks of the first layers alone, as in Klein et al.,
    TMLR 2024, begin as constants; what layers do not depend on each other is dropped from anywhere.

    Args:
        supernet: the fine-tuned model.
        batches: texts, on the supernet's device.
        kind: of its task.
    """
    shape = supernet.shape

    def outputs(layers: Sequence[int]) -> list[torch.Tensor]:
        kept = np.isin(np.arange(shape.num_layers), layers)
        mask = SubnetMask.from_counts(shape, kept * shape.num_heads, kept * shape.intermediate_size)
        subnet = supernet.subnet(mask)
        return [
            subnet.outputs(batch.input_ids, batch.attention_mask, batch.token_type_ids).float() for batch in batches
        ]

    left, gone = list(range(shape.num_layers)), []
    whole = outputs(left)

    def distance(layer: int) -> float:
        made = outputs([other for other in left if other != layer])
        each = zip(made, whole, batches, strict=True)
        return sum(len(batch.index) * float(kind.soft_loss(mine, theirs, batch, 1.0)) for mine, theirs, batch in each)

    while len(left) > 1:
        gone.append(min(left, key=distance))
        left.remove(gone[-1])
    return (*left, *reversed(gone))
