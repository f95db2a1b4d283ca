"""Whole layers dropped, by their place alone."""

from __future__ import annotations

import time
from typing import Literal

import numpy as np

from ..search_space import EncoderShape, SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..tasks import Task
from .base import Cost, Provenance, Pruned, Pruner

Side = Literal["top", "bottom", "alternate"]


class LayerDrop(Pruner):
    """Bypasses layers until the density is reached, and keeps as many as fit; looks at no data.

    Args:
        side: which go first. `top`: the last ones; `bottom`: the first ones; `alternate`: every other one, from the
            last but one down, then every other one of those left.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Sajjad et al., "On the effect of dropping layers of pre-trained transformer models", Computer Speech &
    Language 2023, section 3.
    """

    def __init__(self, side: Side = "top", *, cost: Cost | None = None) -> None:
        super().__init__(cost=cost)
        self.name = f"layer_drop_{side}"
        self._side: Side = side

    def prune(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Pruned:
        """Drop layers one after the other until the budget holds, extract."""
        self.check(supernet, density)
        begin = time.perf_counter()
        share = self.share(supernet.shape)
        dropped = next(
            n for n in range(supernet.shape.num_layers) if share(self._without(supernet.shape, n)) <= density
        )
        mask = self._without(supernet.shape, dropped)
        model = extract(supernet.model, mask)
        seconds = time.perf_counter() - begin
        return Pruned(mask, model, share(mask), Provenance(self.name, {"side": self._side}, 0, 0, False, 0.0, seconds))

    def floor(self, supernet: Supernet) -> float:
        """Return the density of one layer, which is always left."""
        return self.density_of(supernet, self._without(supernet.shape, supernet.shape.num_layers - 1))

    def _without(self, shape: EncoderShape, count: int) -> SubnetMask:
        kept = ~np.isin(np.arange(shape.num_layers), drop_order(shape.num_layers, self._side)[:count])
        return SubnetMask.from_counts(shape, kept * shape.num_heads, kept * shape.intermediate_size)


def drop_order(num_layers: int, side: Side) -> list[int]:
    """Return the layers in the order in which they go; the one that always stays is not among them."""
    if side == "top":
        return list(range(num_layers - 1, 0, -1))
    if side == "bottom":
        return list(range(num_layers - 1))
    order: list[int] = []
    left = list(range(num_layers))
    while len(left) > 1:
        order += left[-2::-2]
        left = left[::-1][::2][::-1]
    return order
