"""What a model loses by what its blocks keep, and the cut within a budget that follows from it.

Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023; Frantar & Alistarh,
"SPDY: accurate pruning with speedup guarantees", ICML 2022, whose factors are searched by what a calibration says.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.gates import run_model
from ..supernet.refit import WholeSums, refit
from ..tasks import Task
from ..tasks.batches import Batch
from ..tasks.kinds import Kind
from .allocation import Allocations, LayerLosses, allocations
from .base import Cost
from .block_errors import BlockErrors, block_errors
from .calibration import calibration_batches
from .sensitivity import moved_outputs, sensitivities

TEXTS, BATCH = 512, 32
_DROP_TEXTS = 128  # about so many of them tell what a block that is missing does
# Of a missing block's loss: what one block does in the place of another is lost when both are gone.
DEAREST = 256.0
_DEARER = (DEAREST, 64.0, 16.0, 4.0, 1.0)
_SPREAD = 0.5  # of the logarithms of random factors of each block, with which each of these is tried twice more
_LOOKS = 9  # at different cuts, at most
_COARSE = 1024  # allocations that are remembered where losses are but thought to be so
_TOKENS = 8192  # at most about so many that a cut is refitted on, and that it is judged on, to be chosen


@dataclass(frozen=True)
class BlockLosses:
    """What a model loses by what each layer keeps: how far its outputs move, as if layers did not matter to each other.

    Attributes:
        target: the model, or a subnetwork of it that is cut further, and the texts.
        errors: of its blocks.
        layers: what each may keep. A block's loss is its error when it keeps fewer units and is refitted, in the sense
            of its sensitivity, times the tokens that it is made at. A block or a layer that is dropped loses what the
            outputs do move by, as it is cut.
    """

    target: WholeSums
    errors: BlockErrors
    layers: list[LayerLosses]

    @classmethod
    def of(cls, target: WholeSums, rng: np.random.Generator) -> BlockLosses:
        """Measure a model's losses; `rng` is of the sensitivities."""
        errors = block_errors(target, sensitivities(target, rng))
        return cls(target, errors, _layer_losses(errors, target))

    @classmethod
    def on(cls, supernet: Supernet, task: Task, rng: np.random.Generator, texts: int = TEXTS) -> BlockLosses:
        """Measure a whole model's losses on texts of a task's training split."""
        batches = list(calibration_batches(supernet, task, texts, rng, batch_size=BATCH))
        return cls.of(WholeSums(supernet, batches, rng), rng)

    def allocations(self, cost: Cost, dearer: float = 1.0) -> Allocations:
        """Return the allocations worth having, for any number of budgets, losses being added up.

        Args:
            cost: what is budgeted.
            dearer: how many times as much a block that is dropped loses as it was measured to, all others being there.

        Example:
            >>> found = losses.allocations(cost)
            >>> masks = [found.best(share * cost(SubnetMask.full(shape))) for share in (1 / 2, 1 / 4, 1 / 10)]
        """
        layers = self._scaled(np.ones((len(self.layers), 3)), dearer)
        return allocations(layers, cost, self.errors.mask)

    def best_cut(
        self,
        cost: Cost,
        limit: float,
        teacher: PreTrainedModel,
        kind: Kind,
        rng: np.random.Generator,
        also: Sequence[SubnetMask] = (),
        until: float | None = None,
    ) -> SubnetMask:
        """Return the cut within a budget that, refitted on a few texts, comes closest to a teacher on others.

        Losses do not quite add up: of two blocks that may each be dropped the other may have to stay. So the exact
        optimum is one of several cuts; the others are the optima where blocks that are dropped lose several times as
        much, these where each block's losses count for a random factor more or less too, and what else is thought good.

        Args:
            cost: what is budgeted.
            limit: of it.
            teacher: whose outputs count; no labels do.
            kind: what these outputs mean.
            rng: of the factors.
            also: other cuts, which need not be part of the model: it keeps as many units where it has them.
            until: when to stop looking at further cuts, on the monotonic clock; then it is the best of those seen, or
                the optimum where dropped blocks are dearest.

        Raises:
            InputError: nothing is within the budget.
        """
        cuts = self._cuts(cost, limit, rng, also)
        best = next(cuts)
        if _is_over(until):
            return best
        judge = _Judge(self.target, teacher, kind, rng)
        least, seen = judge(best), {best}
        for cut in cuts:
            if len(seen) == _LOOKS or _is_over(until):
                break
            if cut not in seen:
                seen.add(cut)
                if (far := judge(cut)) < least:
                    best, least = cut, far
        return best

    def _cuts(
        self, cost: Cost, limit: float, rng: np.random.Generator, also: Sequence[SubnetMask]
    ) -> Iterator[SubnetMask]:
        """Yield cuts within a budget, some of them several times, the likeliest first."""
        for dearer in _DEARER:
            yield self.allocations(cost, dearer).best(limit)
        yield from (mask for mask in map(self._like, also) if cost(mask) <= limit and mask.depth)
        for dearer in (*_DEARER, *_DEARER):
            factors = np.exp(_SPREAD * rng.standard_normal((len(self.layers), 3)))
            yield allocations(self._scaled(factors, dearer), cost, self.errors.mask, most=_COARSE).best(limit)

    def _scaled(self, factors: NDArray[np.float64], dearer: float) -> list[LayerLosses]:
        """Return the layers' losses times factors `(L, 3)`: of attention, of the feed-forward part, of both dropped.

        What is dropped loses `dearer` times as much.
        """
        return [
            replace(
                one,
                by_heads=np.where(one.heads > 0, a, a * dearer) * one.by_heads,
                by_neurons=np.where(one.neurons > 0, b, b * dearer) * one.by_neurons,
                dropped=one.dropped * c * dearer,
            )
            for one, (a, b, c) in zip(self.layers, factors, strict=True)
        ]

    def _like(self, mask: SubnetMask) -> SubnetMask:
        """Return the best units, as many in each block as another mask has, if there are so many."""
        asked = np.ravel(np.column_stack([mask.heads.sum(1), mask.neurons.sum(1)]))
        return self.errors.mask(np.minimum(asked, [curve.counts[-1] for curve in self.errors.curves]))


def _is_over(until: float | None) -> bool:
    return until is not None and time.monotonic() >= until


class _Judge:
    """How far a cut's outputs are from a teacher's: the model as it is refitted on some texts, looked at on others."""

    def __init__(self, target: WholeSums, teacher: PreTrainedModel, kind: Kind, rng: np.random.Generator) -> None:
        batches = target.batches
        self._fit = WholeSums(target.whole, list(_some(batches[::2])), rng, mask=target.mask)
        self._seen, self._kind = list(_some(batches[1::2] or batches)), kind
        self._taught = [_outputs(teacher, batch) for batch in self._seen]

    def __call__(self, mask: SubnetMask) -> float:
        model = extract(self._fit.whole.model, mask)
        refit(model, mask, self._fit)
        far = [
            float(self._kind.soft_loss(_outputs(model, batch), taught, batch, 1.0)) * len(batch)
            for batch, taught in zip(self._seen, self._taught, strict=True)
        ]
        return sum(far) if math.isfinite(sum(far)) else math.inf


def _some(batches: Sequence[Batch]) -> Iterator[Batch]:
    """Yield batches of about so many tokens in all, of all lengths, at least one."""
    tokens = np.cumsum([int(batch.real.sum()) for batch in batches])
    every = max(1, round(tokens[-1] / _TOKENS))
    yield from batches[::every]


@torch.inference_mode()
def _outputs(model: PreTrainedModel, batch: Batch) -> Tensor:
    return run_model(model, batch.inputs).float()


def _layer_losses(errors: BlockErrors, target: WholeSums) -> list[LayerLosses]:
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
