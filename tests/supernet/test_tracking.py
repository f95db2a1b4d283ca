"""Curves in experiment trackers: TensorBoard's files are read back by TensorBoard itself."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from accelerate.tracking import get_available_trackers
from secateur.errors import InputError
from secateur.supernet.training.supernet_training import Progress
from secateur.supernet.training.tracking import Tracking, parse_trackers
from secateur.tests.supernet import toy

pytest.importorskip("tensorboard", reason="the extra `track` is not installed")
pytestmark = pytest.mark.usefixtures("one_thread")


def curves(folder: Path) -> dict[str, dict[int, float]]:
    """Return what TensorBoard shows of a folder: by name, the value at each step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    found = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    assert all(len({p.step for p in points}) == len(points) for points in found.values())  # no step twice
    return {name: {p.step: p.value for p in points} for name, points in found.items()}


def tracking(folder: Path, title: str = "stage") -> Tracking:
    return Tracking(("tensorboard",), folder / "logs", title, {"seed": 0, "strategy": None})


@pytest.mark.parametrize("stage", ["supernet", "finetune"])
def test_a_stage_draws_its_curves(stage, tmp_path):
    seen: list[Progress] = []
    with tracking(tmp_path) as track:
        toy.train(stage, None, lambda step: (seen.append(step), track(step)))
    found = curves(tmp_path / "logs" / "stage")
    assert list(found["loss"]) == [10, 20, toy.STEPS] == list(found["learning_rate"])
    windows = {10: seen[:10], 20: seen[10:20], toy.STEPS: seen[20:]}
    for step, window in windows.items():
        assert found["loss"][step] == pytest.approx(np.mean([one.loss for one in window]))
    assert 0 < found["learning_rate"][toy.STEPS] < found["learning_rate"][10]


def test_a_training_that_goes_on_appends(tmp_path):
    """What an attempt wrote after its last resume point is replaced: each step is there once."""

    class Killed(Exception):
        pass

    def killed(step: Progress) -> None:
        track(step)
        if step.done == 14:
            raise Killed

    settings = toy.FINETUNE.model_copy(update={"save_seconds": 0.0})
    with pytest.raises(Killed), tracking(tmp_path) as track:
        toy.train("finetune", tmp_path / "state", killed, settings=settings)
    assert list(curves(tmp_path / "logs" / "stage")["loss"]) == [10, 14]
    time.sleep(1)  # TensorBoard reads files in the order of their names, which have the second in them
    steps: list[int] = []
    with tracking(tmp_path) as track:
        toy.train("finetune", tmp_path / "state", lambda step: (steps.append(step.done), track(step)))
    assert steps[0] == 14  # it saved after step 13
    assert list(curves(tmp_path / "logs" / "stage")["loss"]) == [10, 20, toy.STEPS]


def test_phases_are_curves_of_their_own(tmp_path):
    with tracking(tmp_path, "prune/lasso") as track:
        for step in range(1, 13):
            track(Progress(step, 12, 1.0, numbers={"penalty": step}, phase="penalty"))
        track(Progress(1, 1, 2.0))
    assert curves(tmp_path / "logs/prune/lasso/penalty") == {
        "loss": {10: 1.0, 12: 1.0},
        "penalty": {10: 5.5, 12: 11.5},
    }
    # TensorBoard reads folders and not what is under them.
    assert curves(tmp_path / "logs/prune/lasso")["loss"] == {1: 2.0}


def test_the_settings_are_told_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first in (1, 2):
        with tracking(tmp_path) as track:
            track(Progress(first, 2, 1.0))
    events = EventAccumulator(str(tmp_path / "logs/stage")).Reload()
    (told,) = events.Tensors("settings/text_summary")
    assert told.tensor_proto.string_val == [b"    seed = 0"]


def test_nothing_is_written_without_a_tracker(tmp_path):
    with Tracking((), tmp_path / "logs", "stage", {}) as track:
        track(Progress(1, 1, 1.0))
    assert not (tmp_path / "logs").exists()


def test_names():
    assert parse_trackers(None) == parse_trackers("none") == ()
    assert parse_trackers("tensorboard, tensorboard") == ("tensorboard",)
    with pytest.raises(InputError, match="unknown tracker 'tensorbord'; known: mlflow, none, tensorboard, wandb"):
        parse_trackers("tensorbord")


@pytest.mark.skipif("wandb" in map(str, get_available_trackers()), reason="wandb is installed")
def test_a_missing_package():
    with pytest.raises(InputError) as caught:
        parse_trackers("tensorboard,wandb")
    assert str(caught.value) == "`report_to` wandb needs a package that is not installed; `pip install wandb`"


def test_a_tracker_that_does_not_start(tmp_path):
    (tmp_path / "logs").write_text("a file where the folder is to be")
    with (
        pytest.raises(InputError, match=r"`report_to` tensorboard failed: .* leave tensorboard out"),
        tracking(tmp_path) as track,
    ):
        track(Progress(1, 1, 1.0))
