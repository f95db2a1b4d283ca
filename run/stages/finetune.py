"""The first stage: the model that subnetworks are cut from."""

from __future__ import annotations

import shutil

from ...supernet.stored.storage import load_tokenizer, save_model
from ...supernet.training.finetuning import finetune as train
from ...supernet.training.settings import FinetuneSettings
from ...tasks import Task
from ..folder import RunFolder
from ..processes import is_first_process
from ..project import model_source, start_model
from ..telling import duration
from .watching import tracking, watched


def finetune_stage(folder: RunFolder, task: Task, settings: FinetuneSettings, trackers: tuple[str, ...] = ()) -> None:
    """Write `finetuned/`, unless it is complete."""
    if folder.stage_is_done("finetune", settings):
        folder.tell.say(f"finetune: complete, in {folder.finetuned}")
        return
    state = folder.path / "finetuned.state"
    pretrained = folder.record["facts"]["taken_for"] == "pre-trained"
    with folder.stage("finetune", settings, trained=pretrained):
        model = start_model(folder, task)
        if pretrained:
            with watched(folder, "finetune", tracking(folder, "finetune", trackers, settings.model_dump())) as report:
                train(model, task, settings, seed=folder.project.seed, state=state, report=report)
        if is_first_process():
            save_model(model, load_tokenizer(model_source(folder.project)), folder.finetuned)
    if is_first_process():
        shutil.rmtree(state, ignore_errors=True)
    folder.tell.say(f"finetune: {duration(folder.seconds('finetune'))}, in {folder.finetuned}")
