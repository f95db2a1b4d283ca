"""Multiply-accumulate operations of one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...search_space import SubnetMask
from .objective import Objective

if TYPE_CHECKING:
    from ...supernet import Supernet


def macs(supernet: Supernet, lengths: Sequence[int]) -> Objective:
    """Count the multiply-accumulates of matrix products for one text, the mean over its possible lengths.

    Per layer with h heads of size s and u neurons, residual width d, T tokens (one of `lengths`): `4 T d h s` for
    the projections, `2 T^2 h s` for attention (of a layer that sees a window, as many of the T keys as the window
    has), `2 T d u` for the feed-forward block, or `3 T d u` where neurons are gated; where queries or keys meet
    embeddings of 2 K distances, `2 K (T + d) h s` for each; then the projection of the
    embeddings, where there is one, and the head on the tokens that it reads.
    """
    shape, everything = supernet.shape, supernet.parameters
    *dense, classifier = (everything[f"{path}.weight"].shape for path in supernet.head_paths.linears)
    embedding_size = everything[f"{supernet.embeddings.word}.weight"].shape[1]
    attention = supernet.architecture.attention

    def count(mask: SubnetMask) -> float:
        return float(np.mean([at(mask, tokens) for tokens in lengths]))

    def at(mask: SubnetMask, tokens: int) -> float:
        d = mask.hidden_size
        head = sum(rows * d for rows, _ in dense) + classifier[0] * (classifier[1] if dense else d)
        total = head * (tokens if supernet.architecture.reads == "tokens" else 1)
        if supernet.projected:
            total += tokens * embedding_size * d
        for heads, neurons, layer in zip(mask.heads_per_layer, mask.neurons_per_layer, attention, strict=True):
            width, seen = heads * shape.head_size, tokens if layer.window is None else min(tokens, 2 * layer.window + 1)
            if (known := layer.disentangled) is not None:
                total += (known.terms - 1) * 2 * known.span * (tokens + d) * width
            total += 4 * tokens * d * width + 2 * tokens * seen * width + (2 + shape.gated) * tokens * d * neurons
        return float(total)

    return Objective("macs", "multiply-accumulates", count)
