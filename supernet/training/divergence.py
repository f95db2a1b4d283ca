"""Trainings end at the first number that is not finite: what follows from it is none either."""

from __future__ import annotations

import math

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from torch import nn

from ...errors import InputError


class Diverged(InputError):
    """A training that came to a number that is not finite; what it made is of no use.

    Args:
        step: the one after which there was such a number, counted from 1.
        total: all steps of the training.
        rate: its peak learning rate.
        what: is no number, in words.
    """

    def __init__(self, step: int, total: int, rate: float, what: str) -> None:
        super().__init__(
            f"the training diverged at step {step} of {total}: {what}; give the same command with a lower learning "
            f"rate than {rate:g}"
        )


def check_loss(loss: float, step: int, total: int, rate: float) -> None:
    """End a training whose loss is not finite; of several processes, that of any of them.

    Args:
        loss: the step's.
        step: counted from 1.
        total: all steps.
        rate: the peak learning rate.

    Raises:
        Diverged: it is not.
    """
    processes = PartialState()
    if processes.num_processes > 1:  # all must end together, or the others would wait for this one
        loss = float(reduce(torch.tensor(loss, device=processes.device)))  # pyright: ignore[reportArgumentType]
    if not math.isfinite(loss):
        raise Diverged(step, total, rate, f"its loss is {loss:g}")


def check_trained(model: nn.Module, outputs: torch.Tensor, total: int, rate: float) -> None:
    """Refuse what the last step of a training left: no loss was computed with it.

    Args:
        model: its parameters are looked at.
        outputs: its own, on a few texts.
        total: all steps.
        rate: the peak learning rate.

    Raises:
        Diverged: parameters or outputs are not finite.
    """
    if not outputs.isfinite().all():
        raise Diverged(total, total, rate, "the model's outputs are no finite numbers")
    for name, parameter in model.named_parameters():
        if parameter.numel() and not all(bool(bound.isfinite()) for bound in torch.aminmax(parameter.detach())):
            raise Diverged(total, total, rate, f"weights are no finite numbers, {name} among them")
