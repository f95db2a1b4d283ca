"""`secateur run`: all stages, from a model and a task to a front, a report and an extracted model."""

from __future__ import annotations

from ..evaluation.archive import Archive
from ..evaluation.evaluation import REPORT
from ..run.choice.front import front_points
from ..run.choice.pick import choose
from ..run.folder import RunFolder
from ..run.latency import latency_target
from ..run.model import evaluations_of, whole_evaluation
from ..run.processes import check_alone
from ..run.project import load_supernet, model_source, open_project
from ..run.report.report import write_report
from ..run.settings import Budgets
from ..run.ship.checkpoint import default_folder, write
from ..run.stages.finetune import finetune_stage
from ..run.stages.search import check as check_search
from ..run.stages.search import search_stage
from ..run.stages.supernet import check as check_supernet
from ..run.stages.supernet import supernet_stage
from ..run.stages.workers import check_farming
from ..search_space import SubnetMask
from ..supernet.stored.storage import load_config
from ..supernet.training.tracking import parse_trackers
from ..tasks import Task
from .console import TERMINAL, out, say
from .front import front_table
from .settings import RunCommand


def run(settings: RunCommand) -> None:
    """Do all stages; what is complete is skipped, what was interrupted goes on.

    Ends with the report page and with an extracted model: the best one with half of the whole network's encoder.
    """
    check_alone("run")
    check_search(settings.search)
    check_farming(settings, settings.search.searcher)
    check_supernet(settings.supernet)
    if settings.latency_tag is None:
        latency_target(load_config(model_source(settings)), settings.search.latency)
    trackers = parse_trackers(settings.report_to)
    folder, task = open_project(settings, TERMINAL)
    with folder.writing():  # not only stage by stage: what comes after them is written too
        _stages(folder, task, settings, trackers)


def _stages(folder: RunFolder, task: Task, settings: RunCommand, trackers: tuple[str, ...]) -> None:
    finetune_stage(folder, task, settings.finetune, trackers)
    supernet_stage(folder, task, settings.supernet, trackers)
    search_stage(folder, task, settings.search, settings.standard, settings)
    supernet = load_supernet(folder.supernet)
    with Archive(folder.archive) as archive:
        points = front_points(archive, "encoder_parameters")
        whole = whole_evaluation(archive, SubnetMask.full(supernet.shape).key, REPORT)
        assert whole is not None
        chosen, _ = choose(archive, Budgets(encoder_parameters=whole.values["encoder_parameters"] / 2))
        selection, report = evaluations_of(archive, chosen.key, chosen.weights)
        page = write_report(folder, archive, task)
    to = default_folder(folder, selection)
    if not to.is_dir():
        write(folder, supernet, selection, report, whole, to)
    out.print(front_table(folder, points))
    say(f"the best with half of the encoder's parameters, {chosen.key}, is in {to}")
    say(f"report: {page}")
