"""`secateur finetune`: a pre-trained model becomes the one that subnetworks are cut from."""

from __future__ import annotations

from ..run.processes import first_process_first
from ..run.project import open_project
from ..run.run import Run
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL
from .settings import FinetuneCommand, fields_of


def finetune(settings: FinetuneCommand) -> None:
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""
    parse_trackers(settings.report_to)
    with first_process_first():
        open_project(settings, TERMINAL)
    own = fields_of(settings.finetune, type(settings.finetune))
    Run(settings.out, tell=TERMINAL).finetune(**own, report_to=settings.report_to)
