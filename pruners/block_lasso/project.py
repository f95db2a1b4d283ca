"""From groups to whole heads and neurons."""

from __future__ import annotations

import numpy as np
from transformers import PreTrainedModel

from ...search_space import UnitScores
from ...supernet.families import family_of
from ...supernet.packed.packed import SlabLinear, slab_linears

# The maps whose lines belong to one unit: rows of those into it, columns of those out of it.
_HEADS = {"row": "qkv", "column": "attention_output"}
_NEURONS = {"row": "ffn_in", "column": "ffn_out"}


def project(model: PreTrainedModel) -> UnitScores:
    """Return scores of heads and neurons: the squared norms of their groups, summed.

    With `pruners.budget.best_mask` and `supernet.extraction.extract` they make a model that has fewer units instead of
    removed groups.

    Args:
        model: what block-structured pruning made of a whole network, in any form.

    Raises:
        ValueError: a model without groups.
    """
    family, found = family_of(model.config), slab_linears(model)
    if not found:
        raise ValueError("the model has no groups of weights to score units by; prune it with block_lasso first")
    shape = family.shape(model.config)
    scheme = next(iter(found.values())).slabs.scheme

    def of_lines(layer: int, part: str) -> np.ndarray:
        times = family.stacked(part) if scheme == "row" else 1
        lines = (_squares(found[path]).reshape(times, -1).sum(axis=0) for path in family.layer_paths(layer, part))
        return sum(lines, start=np.zeros(1))

    layers = range(shape.num_layers)
    heads = np.stack([of_lines(layer, _HEADS[scheme]).reshape(shape.num_heads, -1).sum(axis=1) for layer in layers])
    return UnitScores(heads, np.stack([of_lines(layer, _NEURONS[scheme]) for layer in layers]))


def _squares(linear: SlabLinear) -> np.ndarray:
    """Return the squared norms of a matrix's groups, summed by lines."""
    return linear.slabs.norms(linear.whole().detach()).double().square().sum(dim=1).cpu().numpy()
