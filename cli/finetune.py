"""`secateur finetune`: a pre-trained model becomes the one that subnetworks are cut from."""

from __future__ import annotations

import shutil

from ..supernet.finetuning import finetune as train
from ..supernet.settings import FinetuneSettings
from ..supernet.storage import load_tokenizer, save_model
from ..supernet.tracking import parse_trackers
from ..tasks import Task
from .console import duration, say
from .processes import first_process_first, is_first_process, joined_processes
from .run_folder import RunFolder
from .settings import FinetuneCommand
from .watching import tracking, watched
from .workspace import model_source, open_project, start_model


def finetune(settings: FinetuneCommand) -> None:
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""
    trackers = parse_trackers(settings.report_to)
    with joined_processes():
        with first_process_first():
            folder, task = open_project(settings)
        finetune_stage(folder, task, settings.finetune, trackers)


def finetune_stage(folder: RunFolder, task: Task, settings: FinetuneSettings, trackers: tuple[str, ...] = ()) -> None:
    """Write `finetuned/`, unless it is complete."""
    if folder.stage_is_done("finetune", settings):
        say(f"finetune: complete, in {folder.finetuned}")
        return
    state = folder.path / "finetuned.state"
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    with folder.stage("finetune", settings, trained=pretrained):
        model = start_model(folder, task)
        if pretrained:
            with watched("finetune", tracking(folder, "finetune", trackers, settings.model_dump())) as report:
                train(model, task, settings, seed=folder.project.seed, state=state, report=report)
        if is_first_process():
            save_model(model, load_tokenizer(model_source(folder.project)), folder.finetuned)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    say(f"finetune: {duration(folder.seconds('finetune'))}, in {folder.finetuned}")
