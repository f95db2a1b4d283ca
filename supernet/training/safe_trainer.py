"""The Hugging Face Trainer with resume points that cannot run code: safetensors and JSON in the place of pickles."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from transformers import Trainer

from ...digests import read_json, write_json
from .resume_files import load_optimizer, load_state, save_optimizer, save_state

# What a checkpoint must have; the Trainer would pass over a missing optimiser or random state without a word.
PARTS = ("model.safetensors", "optimizer.json", "optimizer.safetensors", "scheduler.json", "trainer_state.json")
PARTS = (*PARTS, "rng_state*.json", "rng_state*.safetensors")
_AGAIN = "delete its folder"


class SafeTrainer(Trainer):
    """Keeps optimiser, schedule and random states of its checkpoints as tensors and JSON."""

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        (Path(output_dir) / "training_args.bin").unlink(missing_ok=True)  # nobody reads it
        if self.args.should_save:
            optimizer, schedule = self._trained_with()
            save_optimizer(Path(output_dir) / "optimizer", optimizer)
            write_json(Path(output_dir) / "scheduler.json", schedule.state_dict())

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            optimizer, schedule = self._trained_with()
            load_optimizer(Path(checkpoint) / "optimizer", optimizer)
            schedule.load_state_dict(read_json(Path(checkpoint) / "scheduler.json", _AGAIN))

    def _trained_with(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """Return what Accelerate made of the optimiser and its schedule: there are such when checkpoints are."""
        return self.optimizer, self.lr_scheduler  # pyright: ignore[reportReturnType]

    def _save_scaler(self, output_dir: str) -> None:
        """Do nothing: losses are not scaled."""

    def _load_scaler(self, checkpoint: str | None) -> None:
        """Do nothing, whatever lies there."""

    def _save_rng_state(self, output_dir: str) -> None:
        path = self._random_states(output_dir)
        path.parent.mkdir(parents=True, exist_ok=True)  # a process may be here before the first one
        name, keys, *position = np.random.get_state(legacy=True)
        tensors = {"torch": torch.random.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
        if torch.cuda.is_available():
            tensors["cuda"] = torch.cuda.random.get_rng_state()
        save_state(path, tensors, {"python": random.getstate(), "numpy": [name, *position]})

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        path = self._random_states(checkpoint)
        if not path.with_suffix(".json").is_file():  # of a training with fewer processes
            return
        tensors, values = load_state(path)
        version, words, gauss = values["python"]
        random.setstate((version, tuple(words), gauss))
        name, *position = values["numpy"]
        np.random.set_state((name, tensors["numpy"].numpy().astype(np.uint32), *position))
        torch.random.set_rng_state(tensors["torch"])
        if torch.cuda.is_available() and "cuda" in tensors:
            torch.cuda.random.set_rng_state(tensors["cuda"])

    def _random_states(self, folder: str) -> Path:
        return Path(folder) / (f"rng_state_{self.args.process_index}" if self.args.world_size > 1 else "rng_state")
