"""`secateur run`: all stages, from a model and a task to a front, a report and an extracted model."""

from __future__ import annotations

from ..evaluation.archive import Archive
from ..search_space import SubnetMask
from ..supernet.storage import load_config
from .console import out, say
from .extract import write
from .finetune import finetune_stage
from .front import front_points, front_table
from .pick import choose
from .report import write_report
from .rescore import REPORT, SELECTION
from .search import check as check_search
from .search import search_stage
from .settings import Budgets, RunCommand
from .supernet import check as check_supernet
from .supernet import supernet_stage
from .workspace import latency_target, load_supernet, model_source, open_project


def run(settings: RunCommand) -> None:
    """Do all stages; what is complete is skipped, what was interrupted goes on.

    Ends with the report page and with an extracted model: the best one with half of the whole network's encoder.
    """
    check_search(settings.search)
    check_supernet(settings.supernet)
    latency_target(load_config(model_source(settings)), settings.search.latency)
    folder, task = open_project(settings)
    finetune_stage(folder, task, settings.finetune)
    supernet_stage(folder, task, settings.supernet)
    search_stage(folder, task, settings.search)
    supernet = load_supernet(folder.supernet)
    with Archive(folder.archive) as archive:
        points = front_points(archive, "encoder_parameters")
        whole = archive.lookup(SubnetMask.full(supernet.shape).key, REPORT)
        assert whole is not None
        chosen, _ = choose(archive, Budgets(encoder_parameters=whole.values["encoder_parameters"] / 2))
        selection, report = archive.lookup(chosen.key, SELECTION), archive.lookup(chosen.key, REPORT)
        assert selection is not None
        page = write_report(folder, archive, whole.key)
    to = folder.path / "subnets" / chosen.key
    if not to.is_dir():
        write(folder, supernet, selection, report, whole, to)
    out.print(front_table(folder, points))
    say(f"the best with half of the encoder's parameters, {chosen.key}, is in {to}")
    say(f"report: {page}")
