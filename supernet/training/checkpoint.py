"""Resume points of the training stages: at any moment one whole checkpoint exists on the disk, or none."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import broadcast

from ...errors import InputError
from ...files import put
from ..supernet import Supernet


class Checkpoint:
    """Saves and restores model, optimiser and step of the supernet's training.

    Args:
        accelerator: writes the state; its own random states are not needed, since a step's number seeds all randomness.
        supernet: whose parameters are saved.
        optimizer: whose moments are saved.
        folder: where; None switches checkpoints off.
    """

    def __init__(
        self, accelerator: Accelerator, supernet: Supernet, optimizer: torch.optim.Optimizer, folder: Path | None
    ) -> None:
        self._accelerator = accelerator
        self._folder = folder
        self._step = _Counter()
        if folder is not None:
            # evaluation_mode: gradients are averaged once per step, so no distributed wrapper may hook every pass.
            # No device_placement: from "cpu" to "cpu:0" it would copy, and views of the parameters would go stale.
            accelerator.prepare_model(supernet.model, device_placement=False, evaluation_mode=True)
            accelerator.prepare_optimizer(optimizer, device_placement=False)
            accelerator.register_for_checkpointing(self._step)

    def save(self, step: int) -> None:
        """Write the state after `step` steps, then remove the one before."""
        if self._folder is None:
            return
        self._step.value = step
        accelerator = self._accelerator
        temporary = self._folder / "incomplete"
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(temporary), safe_serialization=True)
        publish(temporary, self._folder, step)

    def load(self) -> int:
        """Restore the last state and return its step; 0 where there is none.

        Raises:
            InputError: the checkpoint is damaged.
        """
        found = complete(self._folder)
        if not found:
            return 0
        try:
            self._accelerator.load_state(str(found[-1]))
        except MemoryError:
            raise
        except Exception as error:  # each part of the state fails in its own way when damaged
            raise damaged(found[-1], error) from error
        return self._step.value


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
    return sorted(folder.glob("step-*"), key=lambda path: int(path.name.split("-")[1]))


def publish(written: Path, folder: Path, step: int) -> None:
    """Make what all processes have written into `written` the only checkpoint of `folder`, in one rename."""
    processes = PartialState()
    processes.wait_for_everyone()
    if processes.is_main_process:
        earlier = complete(folder)
        put(written, folder / f"step-{step}")
        for path in earlier:
            shutil.rmtree(path, ignore_errors=True)
    processes.wait_for_everyone()


def damaged(folder: Path, error: Exception) -> InputError:
    """Return the error for a checkpoint that cannot be read."""
    return InputError(
        f"the checkpoint {folder} cannot be read ({type(error).__name__}); delete that folder and the training starts "
        "again"
    )


class _Counter:
    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, int]:
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.value = int(state["value"])
