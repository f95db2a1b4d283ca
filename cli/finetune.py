"""`secateur finetune`: a pre-trained model becomes the one that subnetworks are cut from."""

from __future__ import annotations

from ..run.processes import first_process_first, joined_processes
from ..run.project import open_project
from ..run.stages.finetune import finetune_stage
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL
from .settings import FinetuneCommand


def finetune(settings: FinetuneCommand) -> None:
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""
    trackers = parse_trackers(settings.report_to)
    with joined_processes():
        with first_process_first():
            folder, task = open_project(settings, TERMINAL)
        finetune_stage(folder, task, settings.finetune, trackers)
