"""Equal short recovery: models of every method, trained for the same few steps on what the fine-tuned model says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
from transformers import PreTrainedModel

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import Evaluation
from ...evaluation.model_error import model_outputs
from ...evaluation.weights import Weights
from ...files import replace_file
from ...supernet import Supernet
from ...supernet.stored.storage import load_model
from ...supernet.training.recovery import recover
from ...supernet.training.settings import RecoverySettings
from ...supernet.training.supernet_training import Progress
from ...supernet.training.tracking import Tracking
from ..model import model_name, weights_folder
from ..project import load_supernet, on_device
from ..recipes import is_own
from ..scores import checked
from ..scoring import Scorer, make_row
from ..stopwatch import Stopwatch
from .prune import make_job, run_pruner, seen_by
from .watching import tracking

STATE = "recover.state"


def recovered_row(one: Evaluation, settings: RecoverySettings) -> Evaluation:
    """Return the row, not scored yet, of what becomes of a model; `one` is its row on the selection split."""
    values = {name: one.values[name] for name in ("density", "texts", "labels", "gradients") if name in one.values}
    return make_row(
        one.mask,
        one.method,
        one.seed,
        Weights.RECOVERED,
        {"from": str(one.weights.origin), **one.recipe, "epochs": settings.epochs},
        values | {"epochs": settings.epochs},
        0.0,
    )


def recover_all(
    scorer: Scorer,
    archive: Archive,
    todo: list[tuple[Evaluation, Evaluation]],
    settings: RecoverySettings,
    trackers: tuple[str, ...] = (),
) -> None:
    """Recover models one after the other; each is committed as it is done, one that was killed goes on.

    Args:
        scorer: scores them like all others.
        archive: the run's.
        todo: what a model got before, and the row it is to have.
        settings: the same for all.
        trackers: where else the curves go.
    """
    folder = scorer.folder
    state = folder.path / STATE
    teacher = _teacher(scorer)
    supernet = None  # loaded if a model needs it
    with folder.tell.progress("recover") as tick:
        for done, (before, row) in enumerate(todo):
            if supernet is None and before.weights.origin == "supernet":
                supernet = on_device(load_supernet(folder.supernet))
            name = model_name(row)
            mine = state / name
            model = _before(scorer, supernet, before)
            track = tracking(folder, f"recover/{name}", trackers, settings.model_dump() | row.recipe)

            def report(step: Progress, done: int = done, name: str = name, track: Tracking = track) -> None:
                tick(done, len(todo), f"{name}: step {step.done} of {step.total}")
                track(step)

            training = mine / "training"
            with track, Stopwatch(mine / "seconds") as watch:
                recover(model, scorer.task, teacher, settings, seed=row.seed, state=training, report=report)
            scorer.keep(archive, model, replace(row, seconds=_own_seconds(before) + watch.seconds))
            shutil.rmtree(mine, ignore_errors=True)
            tick(done + 1, len(todo), name)
    shutil.rmtree(state, ignore_errors=True)


def _own_seconds(before: Evaluation) -> float:
    """Return what making one model took; a search's cannot be told apart, and are counted with the search."""
    return before.seconds if is_own(before) else 0.0


def _teacher(scorer: Scorer) -> np.ndarray:
    """Return what the fine-tuned model says on the training split, kept as long as there is something to recover."""
    path = scorer.folder.path / STATE / "teacher.npy"
    if not path.is_file():
        outputs = model_outputs(
            scorer.supernet.model, scorer.task.train, pad_token_id=scorer.task.pad_token_id, dtype=scorer.dtype
        )
        with replace_file(path) as part, part.open("wb") as file:
            np.save(file, outputs)
    return np.load(path)


def _before(scorer: Scorer, supernet: Supernet | None, one: Evaluation) -> PreTrainedModel:
    """Return a model as it was before its recovery: as it is kept, or made once more.

    Raises:
        InputError: it comes out otherwise than in the archive.
    """
    path = weights_folder(scorer.folder, one)
    source = scorer.supernet if one.weights.origin == "finetuned" else supernet
    assert source is not None
    if path is None:
        return checked(source, scorer.task, one.mask)
    if path.is_dir():
        return load_model(path)
    job = make_job(scorer, one.method, one.seed, one.recipe)
    pruned, _ = run_pruner(source, seen_by(scorer.task, one.recipe.get("texts"), one.seed), job)
    if pruned.mask.key != one.key:
        raise InputError(
            f"{job} made {one.key} before and {pruned.mask.key} now, with other versions or on another machine; "
            f"recover where {scorer.folder.path} was pruned, or prune in another run"
        )
    return pruned.model
