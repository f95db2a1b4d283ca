"""A stage's training, watched: progress here, curves in the experiment trackers that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...supernet.training.supernet_training import Progress
from ...supernet.training.tracking import Told, Tracking
from ..folder import RunFolder


def tracking(folder: RunFolder, title: str, trackers: tuple[str, ...], settings: Told) -> Tracking:
    """Return what writes a training of a run into trackers; logs that are files are in the run's `logs/`."""
    return Tracking(trackers, folder.path / "logs", title, {**settings, "seed": folder.project.seed})


@contextmanager
def watched(folder: RunFolder, stage: str, track: Tracking) -> Iterator[Callable[[Progress], None]]:
    """Yield what a stage's training is to report its steps to."""
    with folder.tell.progress(stage) as tick, track:

        def report(step: Progress) -> None:
            tick(step.done, step.total, f"loss {step.loss:.3f}")
            track(step)

        yield report
