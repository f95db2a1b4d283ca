"""ZipLM in one shot: units by what others cannot make up for, sizes by the exact optimum, weights refitted."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.refit import refit
from ..tasks import Task
from .base import Cost, Outcome, Pruner, Recovery
from .block_losses import TEXTS, BlockLosses


class ZipLM(Pruner):
    """Keeps in each block what makes the blocks' losses after a refit least within the budget, and refits.

    Blocks and layers are dropped where that is measured to lose less.

    Args:
        texts: unlabeled texts of the training split.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023. The paper
    searches factors that make layers' errors comparable by a calibration loss; here one backward pass gives them, with
    a metric of each block's output besides, and the calibration chooses among a few near them. Nothing is trained.
    """

    name = "ziplm"
    recovery: ClassVar[Recovery] = "refit"
    needs_gradients = True

    def __init__(self, *, texts: int = TEXTS, cost: Cost | None = None) -> None:
        super().__init__(cost=cost)
        self._texts = texts

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Measure blocks, choose within the budget, extract, refit."""
        seed = int(rng.integers(2**62))
        losses = self._once(supernet, task, seed, lambda: self._measured(supernet, task, seed))
        cost = self.share(supernet.shape)
        mask = losses.best_cut(cost, density, supernet.model, task.kind, np.random.default_rng([seed, 1]))
        model = extract(supernet.model, mask)
        refit(model, mask, losses.target)
        return Outcome(mask, model, {"texts": self._texts}, sum(len(batch) for batch in losses.target.batches))

    def floor(self, supernet: Supernet) -> float:
        """Return the density of the smallest block that can be left alone."""
        shape = supernet.shape
        one, none = np.eye(shape.num_layers, dtype=int)[0], [0] * shape.num_layers
        masks = [SubnetMask.from_counts(shape, *counts) for counts in ((one, none), (none, one))]
        return min(self.density_of(supernet, mask) for mask in masks)

    def _measured(self, supernet: Supernet, task: Task, seed: int) -> BlockLosses:
        return BlockLosses.on(supernet, task, np.random.default_rng(seed), self._texts)
