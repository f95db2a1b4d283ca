"""Methods with a training of their own: their settings, and going on where a killed attempt was."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from pydantic import BaseModel

from ..pruners import BlockLasso, DeepCuts
from ..pruners.base import TrainedPruner
from ..supernet.tracking import Tracking
from ..supernet.training import Progress
from .console import say
from .points import Scorer, Stopwatch
from .settings import PruneSettings
from .workspace import start_model

STATE = "prune.state"
DEFAULTS = PruneSettings(method="", density="")


def changed_options(settings: PruneSettings, method: str) -> dict[str, float | str]:
    """Return what a method's own settings change about its default recipe, as an archive keeps it: by option."""
    group = _group(method)
    if group is None:
        return {}
    mine, usual = (getattr(one, group).model_dump(exclude={"save_seconds"}) for one in (settings, DEFAULTS))
    return {f"{group}_{name}": value for name, value in mine.items() if value != usual[name]}


def own_settings(method: str, recipe: Mapping[str, float | str], asked: PruneSettings = DEFAULTS) -> BaseModel | None:
    """Return a method's settings from the recipe that an archive keeps; None for a method without settings.

    Args:
        method: its name.
        recipe: what decides the result.
        asked: tells what does not: how often resume points are saved.
    """
    group = _group(method)
    if group is None:
        return None
    default = getattr(DEFAULTS, group)
    saved = {"save_seconds": getattr(asked, group).save_seconds}
    return type(default).model_validate({**default.model_dump(), **own_options(method, recipe), **saved})


def own_options(method: str, recipe: Mapping[str, float | str]) -> dict[str, float | str]:
    """Return those of a method's own options that an archive's recipe changes, without the method's name."""
    prefix = f"{_group(method)}_"
    return {name.removeprefix(prefix): value for name, value in recipe.items() if name.startswith(prefix)}


def _group(method: str) -> str | None:
    found = [name for name in ("cofi", "block_lasso", "deepcuts") if method.startswith(name)]
    return found[0] if found else None


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
    state = scorer.folder.path / STATE / name
    watch = Stopwatch(state / "seconds")
    lost = watch.seconds
    pruner.state = state / "training"
    if isinstance(pruner, DeepCuts):
        _rewind(scorer, pruner, title)
    if isinstance(pruner, BlockLasso):
        pruner.target = scorer.table.target
        pruner.state = scorer.folder.path / STATE / shared  # one training under the penalty for all densities

    def report(step: Progress) -> None:
        watch.beat()
        note(f"{title}: step {step.done} of {step.total}{step.note and f', {step.note}'}")
        track(step)

    pruner.report = report
    with track:
        yield lost
    shutil.rmtree(state, ignore_errors=True)


def _rewind(scorer: Scorer, pruner: DeepCuts, title: str) -> None:
    if scorer.folder.record["facts"]["taken_for"] == "pre-trained":
        pruner.rewind = start_model(scorer.folder, scorer.task)
    else:
        say(f"{title}: the run began with a fine-tuned model, so there is nothing to rewind to; its weights are kept")
