"""`secateur supernet`: all subnetworks are trained together."""

from __future__ import annotations

from ..run.folder import RunFolder
from ..run.processes import first_process_first, joined_processes
from ..run.project import open_task
from ..run.stages.supernet import check, supernet_stage
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL
from .settings import SupernetCommand


def supernet(settings: SupernetCommand) -> None:
    """Train the supernet of a run."""
    folder = RunFolder.open(settings.run, TERMINAL)
    check(settings.supernet)
    trackers = parse_trackers(settings.report_to)
    with joined_processes():
        with first_process_first():
            task = open_task(folder)
        supernet_stage(folder, task, settings.supernet, trackers)
