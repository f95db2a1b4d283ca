"""Several processes that `torchrun` started to train together: the first of them speaks and writes for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import InputError


def is_first_process() -> bool:
    """Tell whether this process is the one that writes; the only one is."""
    return int(os.environ.get("RANK", "0")) == 0


def check_alone(command: str) -> None:
    """Refuse to run a command that is not for several processes.

    Raises:
        InputError: torchrun started several.
    """
    if _count() > 1:
        raise InputError(
            f"`secateur {command}` is one process, torchrun is for `secateur finetune` and `secateur supernet`; start "
            "it without, and give `workers` to search with several"
        )


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process through alone; the others follow when it has come to the end of the context."""
    if _count() == 1:
        yield
        return
    import torch
    from accelerate import PartialState

    # As the training does: without the hint each process on a machine of CPUs takes itself for the only one.
    with PartialState(cpu=not torch.accelerator.is_available()).main_process_first():
        yield


@contextmanager
def joined_processes() -> Iterator[None]:
    """Leave the group of processes, if there is one, at the end of the context."""
    try:
        yield
    finally:
        import torch.distributed

        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
