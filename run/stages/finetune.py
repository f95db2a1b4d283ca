"""The first stage: the model that subnetworks are cut from."""

from __future__ import annotations

import shutil

from ...supernet.stored.storage import load_tokenizer, save_model
from ...supernet.training.finetuning import finetune as train
from ...tasks import Task
from ...tasks.batches import batches_per_epoch
from ..data_facts import data_facts
from ..first_look import first_look
from ..folder import RunFolder
from ..processes import is_first_process
from ..project import model_source, start_model
from ..settings.training import FinetuneOptions
from ..stopwatch import pace_of
from ..telling import duration
from .diverging import ends_where_it_diverges
from .watching import tracking, watched

_PROBED = 6  # steps that tell how long one takes, the first not counted


def finetune_stage(folder: RunFolder, task: Task, told: FinetuneOptions, trackers: tuple[str, ...] = ()) -> None:
    """Write `finetuned/`, unless it is complete."""
    settings = told.recipe(len(task.train), data_facts(folder).shape.hidden_size)
    if folder.stage_is_done("finetune", settings):
        folder.tell.say(f"finetune: complete, in {folder.finetuned}")
        return
    state = folder.state("finetune")
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    with ends_where_it_diverges(folder, "finetune", state), folder.stage("finetune", settings, trained=pretrained):
        model = start_model(folder, task)
        if pretrained:
            with watched(folder, "finetune", tracking(folder, "finetune", trackers, settings.model_dump())) as report:
                train(model, task, settings, seed=folder.project.seed, state=state, report=report)
        elif is_first_process():
            first_look(folder, model, task)
        if is_first_process():
            save_model(model, load_tokenizer(model_source(folder.project)), folder.finetuned, sealed=True)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    folder.tell.say(f"finetune: {duration(folder.seconds('finetune'))}, in {folder.finetuned}")


def epochs_within(folder: RunFolder, task: Task, told: FinetuneOptions, minutes: float) -> float:
    """Return how many passes over the training split fit into so many minutes, at most those of the settings.

    A few steps of a copy tell how long one takes.
    """
    settings = told.recipe(len(task.train), data_facts(folder).shape.hidden_size)
    if folder.record["facts"]["taken_for"] != "pre-trained":
        return settings.epochs
    per_epoch = batches_per_epoch(task.train, settings.batch_size)
    few = settings.model_copy(update={"epochs": min(settings.epochs, _PROBED / per_epoch)})
    pace = pace_of(lambda tick: train(start_model(folder, task), task, few, seed=0, report=tick))
    epochs = max(1, int(60 * minutes / pace)) / per_epoch
    if epochs >= settings.epochs:
        return settings.epochs
    whole = duration(settings.epochs * per_epoch * pace)
    folder.tell.say(f"finetune: {settings.epochs:g} epochs would take about {whole}; {epochs:.2g} fit into the minutes")
    return epochs
