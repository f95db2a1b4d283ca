"""A model that was cut out, distilled from the whole one."""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from ...digests import file_digest
from ...errors import InputError
from ...evaluation.objectives import ERROR
from ...supernet.heads import head_of
from ...supernet.shipping.checkpoint import card_of, write_checkpoint
from ...supernet.stored.labels import check_labels
from ...supernet.stored.record import PICTURE, read_record
from ...supernet.stored.replacing import check_replaceable
from ...supernet.stored.storage import load_model, load_tokenizer
from ...supernet.training.divergence import Diverged
from ...supernet.training.recovery import recover as distil
from ...supernet.training.settings import MOST, RecoverySettings
from ...supernet.training.supernet_training import Progress
from ...supernet.training.teacher import Teacher
from ...tasks import Task
from ...tasks.batches import batches_per_epoch, collate
from ..basis import digest
from ..constant import constant_note
from ..folder import RunFolder
from ..project import load_supernet, open_task
from ..scores import report_errors
from ..settings.recovery import RecoverOptions
from ..stopwatch import Stopwatch
from .request import Request
from .thresholds import as_served, threshold_section

# Steps without which minutes were too short: Adam's first ones go as far as its rate, whatever is to be learnt, and a
# model that was refitted loses by them.
_FEWEST = 16
_FITTED = 256  # texts that the maps of narrower states are fitted on


@dataclass(frozen=True)
class Recovered:
    """What a recovery did.

    Attributes:
        before, after: values on the report split, as the archive names them: `error` and others.
        steps: of the optimiser.
        seconds: all attempts' together.
    """

    before: dict[str, float]
    after: dict[str, float]
    steps: int
    seconds: float


def recover_checkpoint(folder: RunFolder, checkpoint: Path, to: Path, settings: RecoverOptions) -> str:
    """Recover a model that Secateur wrote and write it with its card; return a line that says what it brought.

    A recovery that was killed goes on where it was.

    Args:
        folder: the run, whose fine-tuned model teaches.
        checkpoint: the model's folder.
        to: the folder to write.
        settings: how long, and the recipe.

    Raises:
        InputError: a model of another task, one that Secateur did not write, or a place that holds something else.
    """
    check_replaceable(to)
    facts = card_of(checkpoint)
    model, tokenizer, task = load_model(checkpoint), load_tokenizer(checkpoint), open_task(folder)
    check_labels(model.config, task)
    if tokenizer.get_vocab() != load_tokenizer(folder.finetuned).get_vocab():
        raise InputError(
            f"{checkpoint} has other tokens than the model that teaches it; recover the model first, and cut its "
            "vocabulary after that"
        )
    config = file_digest(checkpoint / "config.json")
    told = {"model": [digest(checkpoint), config], **settings.model_dump(mode="json", exclude={"save_seconds"})}
    request = Request.of(folder, "recover", to, told)
    request.begin()
    done = recovered(folder, task, model, settings, request.state)
    line = recovery_line(folder, done)
    facts = replace(
        facts,
        name=to.name,
        selection=None,
        report={"report": 1 - done.after[ERROR]},
        constant=constant_note(folder, -math.inf, done.after[ERROR]),
        sections={**facts.sections, "Recovery": line, **threshold_section(model, task)},
    )
    picture, record = checkpoint / PICTURE, read_record(checkpoint)
    form = "auto" if record is None or record.form == "packed" else record.form
    write_checkpoint(model, tokenizer, to, facts, form=form, picture=picture if picture.is_file() else None)
    shutil.rmtree(request.state, ignore_errors=True)
    return line


def recovered(
    folder: RunFolder, task: Task, model: PreTrainedModel, settings: RecoverOptions, state: Path
) -> Recovered:
    """Recover a model in place.

    Args:
        folder: the run, whose fine-tuned model teaches.
        task: the run's.
        model: of this task.
        settings: how long, and the recipe.
        state: folder for resume points; the caller removes it.

    Raises:
        InputError: a model with another head, or a training that diverged.
    """
    whole = load_supernet(folder.finetuned).model
    if head_of(whole) != head_of(model):
        raise InputError(f"the model is for {head_of(model)}, this run for {head_of(whole)}; give a model of this run")
    try:
        with Stopwatch(state / "seconds") as watch, folder.tell.progress("recover") as tick:
            before = report_errors(model, as_served(model, task))

            def report(step: Progress) -> None:
                tick(step.done, step.total, f"loss {step.loss:.3f}")

            steps = distilled(whole, model, task, settings, folder.project.seed, state, report)
            seconds = watch.seconds
    except Diverged:
        shutil.rmtree(state, ignore_errors=True)  # the next try is another training
        raise
    return Recovered(before, report_errors(model, as_served(model, task)), steps, seconds)


def distilled(
    whole: PreTrainedModel,
    model: PreTrainedModel,
    task: Task,
    settings: RecoverOptions,
    seed: int,
    state: Path,
    report: Callable[[Progress], None],
    layers: Sequence[int] | None = None,
) -> int:
    """Distil a whole model into a smaller one, in place: labels, predictions and hidden states; return the steps.

    Minutes in which there are too few steps to be worth anything leave the smaller one as it was, after 0 steps.

    Args:
        whole: teaches; moved to where training is fastest.
        model: learns; left there in float32, in evaluation mode.
        task: both models'.
        settings: how long, and the recipe.
        seed: of batches and dropout.
        state: folder for resume points; the caller removes it.
        report: called after each step.
        layers: the numbers in the whole model of those that the smaller one has, if they are known.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for one in (whole, model):
        one.float().to(device)  # pyright: ignore[reportArgumentType]
    rows = np.arange(min(_FITTED, len(task.train)))
    teacher = Teacher(whole, model, collate(task.train, rows, task.pad_token_id).to(device).inputs, layers)
    before = None if settings.minutes is None else copy.deepcopy(model.state_dict())
    steps = 0
    if settings.minutes is None or settings.minutes > 0:
        recipe, state = _recipe(settings, task), state / "training"
        steps = distil(model, task, teacher, recipe, seed=seed, state=state, report=report, minutes=settings.minutes)
    model.eval()
    if before is not None and 0 < steps < _FEWEST:
        model.load_state_dict(before)
        return 0
    return steps


def _recipe(settings: RecoverOptions, task: Task) -> RecoverySettings:
    steps = settings.steps if settings.minutes is None else math.inf
    return RecoverySettings(
        learning_rate=settings.learning_rate,
        batch_size=settings.batch_size,
        epochs=min(MOST, steps / batches_per_epoch(task.train, settings.batch_size)),
        save_seconds=settings.save_seconds,
    )


def recovery_line(folder: RunFolder, done: Recovered) -> str:
    """Say in a line what a recovery brought."""
    metric = folder.record["facts"]["metric"]
    before, after = 1 - done.before[ERROR], 1 - done.after[ERROR]
    took = f"{done.steps} steps in {done.seconds:.0f} s"
    return f"{metric} on the report split {before:.4f} before, {after:.4f} after {took}"
