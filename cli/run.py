"""`secateur run`: all stages, from a model and a task to a front, a report and an extracted model."""

from __future__ import annotations

from ..errors import InputError
from ..run.choice.brought import time_columns
from ..run.folder import RunFolder
from ..run.latency import latency_target
from ..run.processes import check_alone
from ..run.project import model_source, open_project
from ..run.run import Run
from ..run.settings.all import AllSettings
from ..run.settings.project import ProjectSettings
from ..run.settings.search import FarmSettings
from ..run.stages.search import check as check_search
from ..run.stages.supernet import check as check_supernet
from ..run.stages.workers import check_farming
from ..supernet.stored.storage import load_config
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL, say
from .front import end_with_front
from .settings import RunCommand, fields_of
from .tables import show


def run(settings: RunCommand) -> None:
    """Do all stages; what is complete is skipped, what was interrupted goes on."""
    check_alone("run")
    check_search(settings.search)
    check_farming(settings, settings.search)
    check_supernet(settings.supernet)
    project = _project(settings)
    if settings.latency_tag is None:
        latency_target(load_config(model_source(project)), settings.search.latency)
    parse_trackers(settings.report_to)
    open_project(project, TERMINAL)
    job, told = Run(settings.out, tell=TERMINAL), {"report_to": settings.report_to}
    stages = {name: fields_of(own) for name, own in settings if name in ("finetune", "supernet", "search", "ladder")}
    farm = fields_of(settings, FarmSettings)
    best = job.all(
        finetune=stages["finetune"] | told,
        supernet=stages["supernet"] | told,
        search=stages["search"] | farm | {"standard": settings.standard},
        ladder=stages["ladder"] | told,
        **fields_of(settings, AllSettings),
    )
    end_with_front(job)
    with job.archive() as archive:
        show("what the time brought", time_columns(job.folder, archive), 2)
    but = "" if best.note is None else f", {best.note}"
    say(f"the best with half of the encoder's parameters, {best.key}{but}, is in {best.folder}")
    say(f"report: {job.path / 'report.html'}")


def _project(settings: RunCommand) -> ProjectSettings:
    """Return what the run is about: what was given, beside what the folder says if neither model nor task was.

    Raises:
        InputError: one of them is missing, and there is no run to go on with.
    """
    given = fields_of(settings, ProjectSettings)
    if not {"model", "task"} & given.keys() and (settings.out / "run.json").is_file():
        return RunFolder.open(settings.out).project.model_copy(update=given)
    for name in ("model", "task"):
        if name not in given:
            raise InputError(f"Missing option '--{name}'; see `secateur run --help`")
    return ProjectSettings.model_validate(given)
