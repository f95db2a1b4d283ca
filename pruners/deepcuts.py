"""Cam-Cut and Smooth-Cut in their authors' own form: single weights, rewound and trained again.

What comes out is as large and as slow as before; it has zeros. It belongs on an axis of non-zero weights, not on one of
latency.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from transformers import PreTrainedModel

from ..errors import InputError, unknown_name
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.training.finetuning import finetune
from ..supernet.training.settings import FinetuneSettings
from ..supernet.training.supernet_training import Progress
from ..tasks import Task
from .base import Cost, Outcome, TrainedPruner
from .deepcuts_settings import RETRAINING
from .elements import STRATEGIES, Elements, ElementScores, kept_elements, prunable_names, share_kept


class DeepCuts(TrainedPruner):
    """Removes single weights by their scores, tensor by tensor, goes back to the pre-trained weights, trains the rest.

    A density is the share of weights and biases that stay, of all linear maps of the encoder's layers and of the
    head's dense layer, where it has one. Embeddings, LayerNorms and the head's last layer are whole.

    Args:
        scoring: a name of STRATEGIES, or options of one's own.
        settings: the recipe of training what stays; None leaves it as it is.
        cost: must be None: a weight that is zero costs as much as another one.

    Attributes:
        rewind: the model whose weights stay, pre-trained and with a new head, before they are trained; left as it is.
            Those of the fine-tuned model stay if None.

    Raises:
        InputError: an unknown strategy, or a cost.

    Source: Grover et al., "DeepCuts" (arXiv 2212.13392); rewinding: Frankle and Carbin, ICLR 2019.
    """

    makes_zeros: ClassVar[bool] = True
    has_latency: ClassVar[bool] = False
    rewinds: ClassVar[bool] = True
    why_no_cost: ClassVar[str] = "removing single weights saves neither time nor operations"

    def __init__(
        self,
        scoring: str | ElementScores,
        *,
        rewind: PreTrainedModel | None = None,
        settings: FinetuneSettings | None = RETRAINING,
        state: Path | None = None,
        report: Callable[[Progress], None] | None = None,
        cost: Cost | None = None,
    ) -> None:
        super().__init__(rewind=rewind, state=state, report=report, cost=cost)
        if isinstance(scoring, str) and scoring not in STRATEGIES:
            raise unknown_name("strategy", scoring, STRATEGIES)
        self.name = f"deepcuts_{scoring}" if isinstance(scoring, str) else "deepcuts"
        self._scoring = STRATEGIES[scoring] if isinstance(scoring, str) else scoring
        self._retraining = settings
        self.needs_gradients = self.needs_labels = settings is not None or self._scoring.recipe is not None

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Score, mask, rewind, train; the model has the size it had, with zeros."""
        kept = kept_elements(self._scoring(supernet, task, rng), density)
        model = self._start(supernet)
        retrain_masked(
            model, kept, task, self._retraining, seed=int(rng.integers(2**31)), state=self.state, report=self.report
        )
        epochs = self._retraining.epochs if self._retraining else 0.0
        full = SubnetMask.full(supernet.shape)
        return Outcome(full, model, self._options(), self._texts(task), epochs, share_kept(kept))

    def floor(self, supernet: Supernet) -> float:
        """Return the least density: one number in each weight and each bias."""
        return 1 / min(supernet.parameters[name].numel() for name in prunable_names(supernet))

    def _options(self) -> dict[str, float | int | str | bool]:
        recipe, retraining = self._scoring.recipe, self._retraining
        options: dict[str, float | int | str | bool] = {"rewound": self.rewind is not None}
        if recipe is not None:
            options |= {"texts": recipe.texts, "batch_size": recipe.batch_size, "padding": recipe.padding}
            options |= {"noise": recipe.noise, "repeats": recipe.repeats}
        if self._scoring.shift is not None:
            options["shift"] = self._scoring.shift
        if retraining is not None:
            options["learning_rate"] = retraining.learning_rate
        return options

    def _texts(self, task: Task) -> int:
        recipe, retraining = self._scoring.recipe, self._retraining
        scored = min(recipe.texts, len(task.train)) if recipe else 0
        return max(scored, self._seen(task, retraining.epochs) if retraining else 0)


def retrain_masked(
    model: PreTrainedModel,
    kept: Elements,
    task: Task,
    settings: FinetuneSettings | None,
    *,
    seed: int,
    teacher: np.ndarray | None = None,
    state: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Set weights to zero and fine-tune the others, in place; zeros stay exactly zero.

    Args:
        model: of the task.
        kept: by parameter; those that are not named are trained whole.
        task: its training split.
        settings: the recipe; None only sets to zero.
        seed: of batches and dropout.
        teacher: outputs `(R, C)` on the training split, learnt beside its labels.
        state: folder for resume points.
        report: called after each step.

    Raises:
        InputError: nothing to train on.
    """
    masked = {model.get_parameter(name): mask for name, mask in kept.items()}
    with torch.no_grad():
        for parameter, mask in masked.items():
            parameter.masked_fill_(~mask.to(parameter.device), 0.0)
    if settings is None:
        return
    if not len(task.train):
        raise InputError("retraining needs at least 1 text of the training split, got 0; give a task with some")
    # Without a gradient a zero stays zero: the optimiser is new, so it has no momentum, and decay of zero is zero. And
    # it does not count in the norm to which gradients are clipped.
    hooks = [parameter.register_hook(_masking(mask)) for parameter, mask in masked.items()]
    try:
        finetune(model, task, settings, seed=seed, teacher=teacher, state=state, report=report)
    finally:
        for hook in hooks:
            hook.remove()


def _masking(mask: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda gradient: gradient * mask.to(gradient.device)
