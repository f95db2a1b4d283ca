"""Training under the penalty, which follows the norms at fixed shares of it; resumable at any moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn
from transformers import PreTrainedModel

from ...supernet.packed.slabs import Slabs
from ...supernet.training.checkpoint import complete, damaged
from ...supernet.training.finetuning import finetune
from ...supernet.training.supernet_training import Progress
from ...tasks import Task
from .penalty import GroupPenalty
from .settings import BlockLassoSettings


def train_reweighted(
    model: PreTrainedModel,
    cuts: Mapping[str, Slabs],
    task: Task,
    settings: BlockLassoSettings,
    *,
    seed: int,
    teacher: np.ndarray | None = None,
    state: Path | None = None,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """Fine-tune under the group Lasso, in place.

    The penalty is reweighted before the first step and at equal shares of all steps: at 1/4, 1/2 and 3/4 of them for
    four times. The authors do it in the epochs 4, 8, 12 and 16, which none of their trainings reaches. A training that
    was killed goes on from `state` with the same result.

    Args:
        model: of the task.
        cuts: how its linear maps are cut, by their paths.
        task: its training split.
        settings: the recipe.
        seed: of batches and dropout.
        teacher: outputs `(R, C)` on the training split, learnt beside its labels.
        state: folder for resume points.
        report: called after each step.

    Raises:
        InputError: a model with labels other than the task's, or a resume point that cannot be read.
    """
    weights: dict[str, nn.Parameter] = {path: model.get_parameter(f"{path}.weight") for path in cuts}
    model.float()
    penalty = GroupPenalty(weights, cuts, strength=settings.penalty, epsilon=settings.epsilon)
    reweights = None if state is None else _Reweights(state)
    if reweights is not None:
        reweights.restore(penalty)

    def after(progress: Progress) -> None:
        # Before the step's resume point is written: where that is there, the reweights are.
        if progress.done in _moments(progress.total, settings.reweightings):
            penalty.renew()
            if reweights is not None:
                reweights.keep(penalty, progress.done)
        if report is not None:
            numbers = {**progress.numbers, "penalty": penalty.seen}
            report(replace(progress, note=f"penalty {penalty.seen:.3g}", numbers=numbers, phase="penalty"))

    with penalty.added():
        finetune(model, task, settings, seed=seed, teacher=teacher, state=state, report=after)


def _moments(total: int, count: int) -> set[int]:
    """Return the steps, besides the first, before which the penalty follows the norms."""
    return {round(total * i / count) for i in range(1, count)} - {0, total}


class _Reweights:
    """The penalty's weights as a training had them, by the step that they held from, beside its resume points."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, penalty: GroupPenalty, step: int) -> None:
        penalty.save(self._folder / f"reweights-{step}.safetensors")

    def restore(self, penalty: GroupPenalty) -> None:
        """Give a penalty the weights of the resume point that the training will go on from, or keep its first ones."""
        found = complete(self._folder)
        if not found:
            self.keep(penalty, 0)
            return
        reached = _step(found[-1])
        try:
            penalty.load(max((p for p in self._folder.glob("reweights-*") if _step(p) <= reached), key=_step))
        except Exception as error:
            raise damaged(self._folder, error) from error


def _step(path: Path) -> int:
    return int(path.name.removesuffix(".safetensors").rpartition("-")[2])
