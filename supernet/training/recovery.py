"""Equal short recovery: the same few steps of distillation for every pruned model, whatever made it smaller."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ...errors import InputError
from ...tasks.task import Task
from .finetuning import finetune
from .settings import RecoverySettings
from .supernet_training import Progress
from .teacher import Teacher


def recover(
    model: PreTrainedModel,
    task: Task,
    teacher: np.ndarray | Teacher,
    settings: RecoverySettings,
    *,
    seed: int,
    state: Path | None = None,
    report: Callable[[Progress], None] | None = None,
    minutes: float | None = None,
) -> int:
    """Distil the whole fine-tuned model into a smaller one, in place; return the steps.

    Without minutes their number depends on task and settings alone, so that methods can be compared after the same
    budget; a model without layers takes as many. A recovery that was killed goes on from `state`, with the
    same result.

    Args:
        model: an extracted model, or any other of the task.
        task: its training split, with labels.
        teacher: outputs `(R, C)` of the fine-tuned model on the training split, in its order and without dropout
            (`evaluation.model_error.model_outputs`): one array serves all models. Or that model itself, whose hidden
            states are learnt too.
        settings: the recipe; epochs may be a fraction.
        seed: of batches and dropout.
        state: folder for resume points; the caller removes it afterwards.
        report: called after each step.
        minutes: end after so many, if the epochs have not.

    Raises:
        ValueError: a teacher's outputs for other texts or labels.
        InputError: a teacher's outputs that are not numbers, a model with labels other than the task's, or a resume
            point that cannot be read.
    """
    if isinstance(teacher, np.ndarray) and not np.isfinite(teacher).all():
        raise InputError(
            "recovery needs a teacher whose outputs are finite numbers, but the fine-tuned model's are not; fine-tune "
            "again with a lower learning rate"
        )
    return finetune(model, task, settings, seed=seed, state=state, report=report, teacher=teacher, minutes=minutes)
