"""`secateur finetune`: a pre-trained model becomes the one that subnetworks are cut from."""

from __future__ import annotations

import shutil

from ..supernet.finetuning import finetune as train
from ..supernet.settings import FinetuneSettings
from ..supernet.storage import load_tokenizer, save_model
from ..tasks import Task
from .console import duration, progress, say
from .processes import first_process_first, is_first_process, joined_processes
from .run_folder import RunFolder
from .settings import FinetuneCommand
from .workspace import model_source, open_project, start_model


def finetune(settings: FinetuneCommand) -> None:
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""
    with joined_processes():
        with first_process_first():
            folder, task = open_project(settings)
        finetune_stage(folder, task, settings.finetune)


def finetune_stage(folder: RunFolder, task: Task, settings: FinetuneSettings) -> None:
    """Write `finetuned/`, unless it is complete."""
    if folder.stage_is_done("finetune", settings):
        say(f"finetune: complete, in {folder.finetuned}")
        return
    state = folder.path / "finetuned.state"
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    with folder.stage("finetune", settings, trained=pretrained):
        model = start_model(folder, task)
        if pretrained:
            with progress("finetune") as tick:
                train(
                    model,
                    task,
                    settings,
                    seed=folder.project.seed,
                    state=state,
                    report=lambda p: tick(p.done, p.total, f"loss {p.loss:.3f}"),
                )
        if is_first_process():
            save_model(model, load_tokenizer(model_source(folder.project)), folder.finetuned)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    say(f"finetune: {duration(folder.seconds('finetune'))}, in {folder.finetuned}")
