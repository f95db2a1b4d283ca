"""Whole layers dropped, by their place alone; as they are, or trained as their authors do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
from transformers import PreTrainedModel

from ..errors import InputError
from ..search_space import EncoderShape, SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.training.finetuning import finetune
from ..supernet.training.supernet_training import Progress
from ..tasks import Task
from .base import Cost, Outcome, Pruner, TrainedPruner
from .layer_drop_settings import LayerDropSettings, Side


class LayerDrop(Pruner):
    """Bypasses layers until the density is reached, and keeps as many as fit; looks at no data.

    The authors drop layers of the pre-trained model and then fine-tune it, which :class:`LayerDropTuned` does; of a
    fine-tuned model that is not trained any more, this shows little of their method.

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

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Drop layers one after the other until the budget holds, extract."""
        mask = _largest(supernet.shape, self._side, self.share(supernet.shape), density)
        return Outcome(mask, extract(supernet.model, mask), {"side": self._side}, 0)

    def floor(self, supernet: Supernet) -> float:
        """Return the density of one layer, which is always left."""
        return self.density_of(supernet, _without(supernet.shape, self._side, supernet.shape.num_layers - 1))


class LayerDropTuned(TrainedPruner):
    """Drops layers of the model that the run began with, and fine-tunes the others on the labels.

    As the authors do, for three epochs, but for no fewer steps than other methods' native recipes take. Where the run
    began with a fine-tuned model, that one's weights are trained. One training per density.

    Args:
        settings: which layers go first, and the recipe.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Sajjad et al., "On the effect of dropping layers of pre-trained transformer models", Computer Speech &
    Language 2023, sections 3 and 4.
    """

    name = "layer_drop_tuned"
    why_no_cost: ClassVar[str] = ""
    rewinds: ClassVar[bool] = True
    needs_labels = needs_gradients = True

    def __init__(
        self,
        settings: LayerDropSettings | None = None,
        *,
        rewind: PreTrainedModel | None = None,
        state: Path | None = None,
        report: Callable[[Progress], None] | None = None,
        cost: Cost | None = None,
    ) -> None:
        super().__init__(rewind=rewind, state=state, report=report, cost=cost)
        self._settings = settings or LayerDropSettings()

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Drop, fine-tune."""
        if not len(task.train):
            raise InputError(f"{self.name} needs at least 1 text of the training split, got 0; give a task with some")
        settings = self._settings.stretched(len(task.train))
        mask = _largest(supernet.shape, settings.side, self.share(supernet.shape), density)
        model = extract(self._start(supernet), mask)
        finetune(model, task, settings, seed=int(rng.integers(2**31)), state=self.state, report=self.report)
        options = {"side": settings.side, "rewound": self.rewind is not None, "learning_rate": settings.learning_rate}
        return Outcome(mask, model.eval(), options, self._seen(task, settings.epochs), settings.epochs)

    def floor(self, supernet: Supernet) -> float:
        """Return the density of one layer, which is always left."""
        return self.density_of(supernet, _without(supernet.shape, self._settings.side, supernet.shape.num_layers - 1))


def _largest(shape: EncoderShape, side: Side, share: Cost, density: float) -> SubnetMask:
    """Return the mask of as many layers as fit into a density."""
    masks = (_without(shape, side, count) for count in range(shape.num_layers))
    return next(mask for mask in masks if share(mask) <= density)


def _without(shape: EncoderShape, side: Side, count: int) -> SubnetMask:
    kept = ~np.isin(np.arange(shape.num_layers), drop_order(shape.num_layers, side)[:count])
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
