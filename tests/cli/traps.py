"""Pickles that leave a file behind when they are read."""

from __future__ import annotations

import pickle
from pathlib import Path

# Names under which trainings keep a state, or kept it in some version, here or in the libraries they are made with.
PLANTED = (
    "custom_checkpoint_0.pkl",
    "random_states_0.pkl",
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.pt",
    "scaler.pt",
    "scheduler.bin",
    "rng_state.pth",
    "training_args.bin",
    "pytorch_model.bin",
    "state.pt",
    "teacher.npy",
)


class Trap:
    """A pickle that leaves a file behind when it is read."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self):
        return Path.touch, (self.sprung,)


def trap_of(sprung: Path) -> bytes:
    """Return a pickle that makes the file `sprung` when it is read."""
    return pickle.dumps(Trap(sprung))


def plant(folder: Path, sprung: Path) -> None:
    """Put a trap into every folder within one, under each name that is not taken."""
    for place in [folder, *(path for path in folder.rglob("*") if path.is_dir())] if folder.is_dir() else []:
        for path in (place / name for name in PLANTED):
            if not path.exists():
                path.write_bytes(trap_of(sprung))


def spoil(folder: Path, sprung: Path) -> None:
    """Put a trap in the place of every file within a folder, and under each other name."""
    for path in [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"]:
        path.write_bytes(trap_of(sprung))
    plant(folder, sprung)
