"""Resume points of the training stages: at any moment one whole checkpoint exists on the disk, or none."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast

from ...digests import DIGESTS, change_in, seal
from ...errors import InputError
from ...files import put
from ..supernet import Supernet
from .resume_files import load_optimizer, load_state, save_optimizer, save_state

_MODEL, _OPTIMIZER = "model", "optimizer"


class Checkpoint:
    """Saves and restores model, optimiser and step of the supernet's training.

    Args:
        accelerator: of the processes that train. Random states are not kept: a step's number seeds all randomness.
        supernet: whose parameters are saved.
        optimizer: whose moments are saved.
        folder: where; None switches checkpoints off.
    """

    def __init__(
        self, accelerator: Accelerator, supernet: Supernet, optimizer: torch.optim.Optimizer, folder: Path | None
    ) -> None:
        self._accelerator, self._folder = accelerator, folder
        self._parameters, self._optimizer = dict(supernet.model.named_parameters()), optimizer

    def save(self, step: int) -> None:
        """Write the state after `step` steps, then remove the one before."""
        if self._folder is None:
            return
        temporary = self._folder / "incomplete"
        if self._accelerator.is_main_process:  # all processes have the same, for they average their gradients
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            save_state(temporary / _MODEL, self._parameters, {"step": step})
            save_optimizer(temporary / _OPTIMIZER, self._optimizer)
        publish(temporary, self._folder, step)

    def load(self) -> int:
        """Restore the last state and return its step; 0 where there is none.

        Raises:
            InputError: the checkpoint is damaged.
        """
        last = last_checkpoint(self._folder)
        if last is None:
            return 0
        try:
            tensors, values = load_state(last / _MODEL)
            with torch.no_grad():  # in place: others hold views of the parameters
                for name, parameter in self._parameters.items():
                    parameter.copy_(tensors[name])
            load_optimizer(last / _OPTIMIZER, self._optimizer)
            return int(values["step"])
        except MemoryError:
            raise
        except Exception as error:  # each part of the state fails in its own way when damaged
            raise damaged(last, error) from error


class SaveClock:
    """Says when the next checkpoint is due.

    With several processes the first one's clock counts for all: they must save in the same step.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Start counting anew."""
        self._since = time.monotonic()

    def due(self) -> bool:
        """Return whether the time is up; all processes must ask."""
        due = time.monotonic() - self._since >= self._seconds
        processes = PartialState()
        if processes.num_processes == 1:
            return due
        return bool(broadcast(torch.tensor([int(due)], device=processes.device)))


def complete(folder: Path | None) -> list[Path]:
    """Return the whole checkpoints in a folder, the last one last."""
    if folder is None or not folder.is_dir():
        return []
    found = {path: path.name.removeprefix("step-") for path in folder.glob("step-*")}
    return sorted((path for path, step in found.items() if step.isdecimal()), key=lambda path: int(found[path]))


def last_checkpoint(folder: Path | None) -> Path | None:
    """Return the last whole checkpoint in a folder, its files checked; None if there is none.

    Raises:
        InputError: a file of it has changed since it was written.
    """
    found = complete(folder)
    if not found:
        return None
    last = found[-1]
    try:
        change = change_in(last) if (last / DIGESTS).is_file() else f"it has no {DIGESTS}"
    except InputError as error:
        raise damaged(last, error) from error
    if change is not None:
        raise damaged(last, InputError(change))
    return last


def publish(written: Path, folder: Path, step: int) -> None:
    """Make what all processes have written into `written` the only checkpoint of `folder`, in one rename."""
    processes = PartialState()
    processes.wait_for_everyone()
    if processes.is_main_process:
        earlier = complete(folder)
        seal(written)
        put(written, folder / f"step-{step}")
        for path in earlier:
            shutil.rmtree(path, ignore_errors=True)
    processes.wait_for_everyone()


def damaged(folder: Path, error: Exception) -> InputError:
    """Return the error for a checkpoint that cannot be read."""
    reason = str(error) if isinstance(error, InputError) else type(error).__name__
    return InputError(
        f"the checkpoint {folder} cannot be read ({reason}); delete that folder and the training starts again"
    )
