"""Tells experiment trackers how a training goes: TensorBoard, Weights & Biases, MLflow, through Accelerate's classes.

Every training reports its steps as `Progress`, whoever owns the loop: a tracker is one more reader of that.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from accelerate import PartialState
from accelerate.tracking import GeneralTracker, MLflowTracker, TensorBoardTracker, WandBTracker, get_available_trackers

from ...errors import InputError, unknown_name
from .supernet_training import Progress

EVERY = 10  # steps whose mean is one point of a curve
PROJECT = "secateur"  # what runs are filed under
Told = Mapping[str, Any]


def parse_trackers(text: str | None) -> tuple[str, ...]:
    """Read names such as `tensorboard,wandb`, each once; None and `none` are no trackers.

    Raises:
        InputError: a name that is not in TRACKERS, or a package that is not installed.
    """
    names = tuple(dict.fromkeys(name.strip() for name in (text or "none").split(",")))
    if names == ("none",):
        return ()
    installed = {str(name) for name in get_available_trackers()}
    for name in names:
        if name not in TRACKERS:
            raise unknown_name("tracker", name, (*TRACKERS, "none"))
        if name not in installed:
            package = "'secateur[track]'" if name == "tensorboard" else name
            raise InputError(f"`report_to` {name} needs a package that is not installed; `pip install {package}`")
    return names


class Tracking:
    """Writes the numbers of a training's steps to trackers; a context manager that is called with each step.

    Each point is the mean over up to ten steps, at the last one's number. A training that goes on from a resume point
    goes on in the same log; what an attempt that was killed wrote of later steps is replaced in TensorBoard. Of several
    processes the first one writes.

    Args:
        names: of TRACKERS; without any nothing is written.
        folder: of all logs of a run; its parent's name is the run's.
        title: of the training, a relative path without `..`.
        settings: what it was told, flat.

    Raises:
        InputError: when called, if a tracker cannot be started.

    Example:
        >>> with Tracking(("tensorboard",), Path("runs/sst2/logs"), "supernet", settings.model_dump()) as track:
        ...     train_supernet(supernet, space, task, settings, seed=0, report=track)
    """

    def __init__(self, names: tuple[str, ...], folder: Path, title: str, settings: Told) -> None:
        self._names, self._folder, self._title = names, folder, title
        self._settings = {name: value for name, value in settings.items() if value is not None}
        self._trackers: list[GeneralTracker] = []
        self._seen: list[dict[str, float]] = []
        self._last: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish()

    def __call__(self, progress: Progress) -> None:
        """Take down a step."""
        if not self._names or not PartialState().is_main_process:
            return
        if self._last is None or self._last.phase != progress.phase:
            self._finish()
            self._start(progress)
        self._last = progress
        self._seen.append({"loss": progress.loss, **progress.numbers})
        if progress.done % EVERY == 0 or progress.done >= progress.total:
            self._write()

    def _start(self, progress: Progress) -> None:
        title = f"{self._title}/{progress.phase}" if progress.phase else self._title
        for name in self._names:
            try:
                self._trackers.append(TRACKERS[name](self._folder, title, progress.done, self._settings))
            except Exception as error:  # each service has its own, for a wrong key or an unreachable server
                why = " ".join(str(error).split())
                raise InputError(f"`report_to` {name} failed: {why}; mend that, or leave {name} out") from error

    def _write(self) -> None:
        if self._last is not None and self._seen:
            names = dict.fromkeys(name for one in self._seen for name in one)
            means = {name: float(np.mean([one[name] for one in self._seen if name in one])) for name in names}
            for tracker in self._trackers:
                tracker.log(means, step=self._last.done)
        self._seen.clear()

    def _finish(self) -> None:
        self._write()
        for tracker in self._trackers:
            tracker.finish()
        self._trackers.clear()


def _tensorboard(folder: Path, title: str, first: int, settings: Told) -> GeneralTracker:
    tracker = TensorBoardTracker(title, folder, purge_step=first)  # what was written of this step and later is dropped
    tracker.start()
    if first == 1:
        # As text: its own table of hyperparameters adds a run of its own at each start.
        tracker.log({"settings": "\n".join(f"    {name} = {value}" for name, value in settings.items())}, step=0)
    return tracker


def _wandb(folder: Path, title: str, first: int, settings: Told) -> GeneralTracker:
    handle = _handle(folder, title, "wandb")
    if first == 1 or not handle.is_file():
        handle.write_text(uuid.uuid4().hex)
    tracker = WandBTracker(
        os.environ.get("WANDB_PROJECT", PROJECT),
        id=handle.read_text(),
        resume="allow",
        name=f"{folder.parent.name} {title}",
        dir=str(folder),
    )
    tracker.start()
    tracker.store_init_configuration(dict(settings))
    return tracker


def _mlflow(folder: Path, title: str, first: int, settings: Told) -> GeneralTracker:
    import mlflow  # pyright: ignore[reportMissingImports]

    handle = _handle(folder, title, "mlflow")
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{folder.absolute() / 'mlflow.db'}")
    resumed = handle.read_text() if first > 1 and handle.is_file() else None
    tracker = MLflowTracker(PROJECT, run_id=resumed, run_name=f"{folder.parent.name} {title}")
    tracker.start()
    handle.write_text(tracker.tracker.info.run_id)
    tracker.store_init_configuration(dict(settings))
    return tracker


def _handle(folder: Path, title: str, name: str) -> Path:
    """Return the file that keeps a service's name of a training, so that it can be gone on with."""
    (folder / title).mkdir(parents=True, exist_ok=True)
    return folder / title / f"{name}.id"


# By the names that transformers has for them; each starts a log at a training's step `first`, counted from 1.
TRACKERS: dict[str, Callable[[Path, str, int, Told], GeneralTracker]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
