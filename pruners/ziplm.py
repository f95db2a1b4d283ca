"""ZipLM in one shot: units by what others cannot make up for, sizes by the exact optimum, weights refitted."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.refit import WholeSums, refit
from ..tasks import Task
from .allocation import Allocations, LayerLosses, allocations
from .base import Cost, Outcome, Pruner, Recovery
from .block_errors import BlockErrors, block_errors
from .calibration import calibration_batches
from .sensitivity import moved_outputs, sensitivities

TEXTS, BATCH = 512, 32
_DROP_TEXTS = 128  # about so many of them tell what a block that is missing does


def measure(target: WholeSums, cost: Cost, rng: np.random.Generator) -> Allocations:
    """Return the allocations worth having of a model, for any number of budgets.

    A block's loss is how far the outputs move when it keeps fewer units and is refitted: its error, in the sense of its
    sensitivity, times the tokens that it is made at. A block or a layer that is dropped loses what the outputs do move
    by, as it is cut. Losses are added up.

    Args:
        target: the model, or a subnetwork of it that is cut further, and the texts.
        cost: what is budgeted.
        rng: of the sensitivities.

    Example:
        >>> found = measure(target, cost, rng)
        >>> masks = [found.best(share * cost(SubnetMask.full(shape))) for share in (1 / 2, 1 / 4, 1 / 10)]
    """
    errors = block_errors(target, sensitivities(target, rng))
    return allocations(_losses(errors, target), cost, errors.mask)


def measured(supernet: Supernet, task: Task, cost: Cost, rng: np.random.Generator) -> Allocations:
    """Return :func:`measure`'s allocations on texts of a task's training split."""
    return measure(_target(supernet, task, TEXTS, rng), cost, rng)


def _target(supernet: Supernet, task: Task, texts: int, rng: np.random.Generator) -> WholeSums:
    return WholeSums(supernet, list(calibration_batches(supernet, task, texts, rng, batch_size=BATCH)), rng)


def _losses(errors: BlockErrors, target: WholeSums) -> list[LayerLosses]:
    full = np.array([curve.counts[-1] for curve in errors.curves])
    several = range(0, len(full), 2)
    missing = [*((i,) for i in range(len(full))), *((i, i + 1) for i in several)]
    masks = [errors.mask(np.where(np.isin(np.arange(len(full)), gone), 0, full)) for gone in missing]
    moved = moved_outputs(target, _DROP_TEXTS, masks)
    losses = [
        np.append(loss, curve.errors[1:] * curve.tokens) for curve, loss in zip(errors.curves, moved, strict=False)
    ]
    return [
        LayerLosses(
            errors.curves[i].counts, losses[i], errors.curves[i + 1].counts, losses[i + 1], moved[len(full) + i // 2]
        )
        for i in several
    ]


class ZipLM(Pruner):
    """Keeps in each block what makes the blocks' losses after a refit least within the budget, and refits.

    Blocks and layers are dropped where that is measured to lose less.

    Args:
        texts: unlabeled texts of the training split.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023. The paper
    searches factors that make layers' errors comparable by a calibration loss; here one backward pass gives them, and a
    metric of each block's output besides. Nothing is trained.
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
        target, found = self._once(supernet, task, seed, lambda: self._measured(supernet, task, seed))
        mask = found.best(density)
        model = extract(supernet.model, mask)
        refit(model, mask, target)
        return Outcome(mask, model, {"texts": self._texts}, sum(len(batch) for batch in target.batches))

    def floor(self, supernet: Supernet) -> float:
        """Return the density of the smallest block that can be left alone."""
        shape = supernet.shape
        one, none = np.eye(shape.num_layers, dtype=int)[0], [0] * shape.num_layers
        masks = [SubnetMask.from_counts(shape, *counts) for counts in ((one, none), (none, one))]
        return min(self.density_of(supernet, mask) for mask in masks)

    def _measured(self, supernet: Supernet, task: Task, seed: int) -> tuple[WholeSums, Allocations]:
        rng = np.random.default_rng(seed)
        target = _target(supernet, task, self._texts, rng)
        return target, measure(target, self.share(supernet.shape), rng)
