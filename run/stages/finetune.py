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
from ..settings.training import FinetuneOptions, FinetuneRecipe
from ..telling import duration
from .diverging import ends_where_it_diverges
from .watching import tracking, watched


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
                seed, minutes = folder.project.seed, settings.minutes
                steps = train(model, task, settings, seed=seed, state=state, report=report, minutes=minutes)
            _tell_shortened(folder, task, settings, steps)
        elif is_first_process():
            first_look(folder, model, task)
        if is_first_process():
            save_model(model, load_tokenizer(model_source(folder.project)), folder.finetuned, sealed=True)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    folder.tell.say(f"finetune: {duration(folder.seconds('finetune'))}, in {folder.finetuned}")


def _tell_shortened(folder: RunFolder, task: Task, settings: FinetuneRecipe, steps: int) -> None:
    """Say how far the minutes went, if they ended a training."""
    epochs = steps / batches_per_epoch(task.train, settings.batch_size)
    if settings.minutes is not None and round(epochs, 2) < settings.epochs:
        within = f"fitted into {duration(60 * settings.minutes)}"
        folder.tell.say(f"finetune: {steps} steps, {epochs:.2g} of {settings.epochs:g} epochs, {within}")
