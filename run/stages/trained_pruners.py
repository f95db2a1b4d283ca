"""Methods with a training of their own: their settings, and going on where a killed attempt was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ...pruners.base import TrainedPruner
from ...supernet.training.supernet_training import Progress
from ...supernet.training.tracking import Tracking
from ..project import start_model
from ..scoring import Scorer
from ..stopwatch import Stopwatch


@contextmanager
def resumable(
    scorer: Scorer,
    pruner: TrainedPruner,
    name: str,
    shared: str,
    title: str,
    note: Callable[[str], None],
    track: Tracking,
) -> Iterator[float]:
    """Let a method that trains go on where a killed attempt was; yields the seconds that such attempts took.

    Args:
        scorer: whose run.
        pruner: what is to train.
        name: a folder's, of this model and no other.
        shared: another's, of this model and those that differ in their density only.
        title: the model's, for people.
        note: shows a line.
        track: draws its curves.
    """
    states = scorer.folder.state("prune")
    state = states / name
    pruner.prepare(state / "training", states / shared, scorer.table.target)
    if pruner.rewinds:
        _rewind(scorer, pruner, title)

    def report(step: Progress) -> None:
        note(f"{title}: step {step.done} of {step.total}{step.note and f', {step.note}'}")
        track(step)

    pruner.report = report
    with track, Stopwatch(state / "seconds") as watch:
        yield watch.before
    shutil.rmtree(state, ignore_errors=True)


def _rewind(scorer: Scorer, pruner: TrainedPruner, title: str) -> None:
    if scorer.folder.record["facts"]["taken_for"] == "pre-trained":
        pruner.rewind = start_model(scorer.folder, scorer.task)
    else:
        scorer.folder.tell.say(
            f"{title}: the run began with a fine-tuned model, so there is nothing to rewind to; its weights are kept"
        )
