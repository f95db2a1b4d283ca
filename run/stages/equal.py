"""What models of every method get in equal measure: a refit, and a short recovery on what the fine-tuned model says."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np

from ...digests import file_digest, read_json, write_json
from ...evaluation.archive import Archive
from ...evaluation.evaluation import Evaluation
from ...evaluation.model_error import model_outputs
from ...files import replace_file
from ...supernet.training.recovery import recover
from ...supernet.training.settings import RecoverySettings
from ...supernet.training.supernet_training import Progress
from ...supernet.training.tracking import Tracking
from ..model import model_name
from ..recipes import SHARED
from ..scoring import Scorer
from ..stopwatch import Stopwatch
from .sources import Sources
from .watching import tracking


def refit_all(sources: Sources, archive: Archive, todo: list[tuple[Evaluation, Evaluation]]) -> None:
    """Refit models one after the other; each is committed as it is done.

    Args:
        sources: makes them.
        archive: the run's.
        todo: what a model got as it was cut out, and the row it is to have.
    """
    scorer = sources.scorer
    with scorer.folder.tell.progress("refit") as tick:
        for done, (before, row) in enumerate(todo):
            made = sources.refitted(before)
            values = row.values | {SHARED: made.shared_seconds}
            scorer.keep(archive, made.model, replace(row, values=values, seconds=row.seconds + made.seconds))
            tick(done + 1, len(todo), model_name(row))


def recover_all(
    sources: Sources,
    archive: Archive,
    todo: list[tuple[Evaluation, Evaluation]],
    settings: RecoverySettings,
    trackers: tuple[str, ...] = (),
) -> None:
    """Recover models one after the other; each is committed as it is done, one that was killed goes on.

    Args:
        sources: makes them as they were before.
        archive: the run's.
        todo: what a model got as it was cut out, and the row it is to have, which says whether it is refitted before.
        settings: the same for all.
        trackers: where else the curves go.
    """
    scorer = sources.scorer
    folder = scorer.folder
    state = folder.state("recover")
    teacher = _teacher(scorer)
    with folder.tell.progress("recover") as tick:
        for done, (before, row) in enumerate(todo):
            name = model_name(row)
            mine = state / name
            model = sources.refitted(before).model if "refit" in row.recipe else sources.cut(before)
            track = tracking(folder, f"recover/{name}", trackers, settings.model_dump() | row.recipe)

            def report(step: Progress, done: int = done, name: str = name, track: Tracking = track) -> None:
                tick(done, len(todo), f"{name}: step {step.done} of {step.total}")
                track(step)

            training = mine / "training"
            with track, Stopwatch(mine / "seconds") as watch:
                recover(model, scorer.task, teacher, settings, seed=row.seed, state=training, report=report)
            scorer.keep(archive, model, replace(row, seconds=row.seconds + watch.seconds))
            shutil.rmtree(mine, ignore_errors=True)
            tick(done + 1, len(todo), name)
    shutil.rmtree(state, ignore_errors=True)


def _teacher(scorer: Scorer) -> np.ndarray:
    """Return what the fine-tuned model says on the training split, kept as long as there is something to recover."""
    path = scorer.folder.state("recover") / "teacher.npy"
    mark = path.with_suffix(".json")
    if not (path.is_file() and mark.is_file()) or read_json(mark, f"delete {mark}").get("outputs") != file_digest(path):
        mark.unlink(missing_ok=True)
        outputs = model_outputs(
            scorer.supernet.model, scorer.task.train, pad_token_id=scorer.task.pad_token_id, dtype=scorer.dtype
        )
        with replace_file(path) as part, part.open("wb") as file:
            np.save(file, outputs)
        write_json(mark, {"outputs": file_digest(path)})
    return np.load(path, allow_pickle=False)
