"""`secateur prune`: subnetworks without a search."""

from __future__ import annotations

from ..errors import InputError
from ..pruners import make_pruner
from ..run.folder import RunFolder
from ..run.processes import check_alone
from ..run.project import open_task
from ..run.settings import PruneSettings
from ..run.stages.prune import _prune
from ..supernet.training.tracking import parse_trackers
from .console import TERMINAL
from .settings import PruneCommand


def prune(settings: PruneCommand) -> None:
    """Prune the fine-tuned model by methods that need no search; every model is kept in the run's archive.

    A model that is there already is not made again.
    """
    check_alone("prune")
    folder = RunFolder.open(settings.run, TERMINAL)
    methods = list(dict.fromkeys(name.strip() for name in settings.method.split(",")))
    for name in methods:
        make_pruner(name)
    densities = parse_densities("--density", settings.density)
    trackers = parse_trackers(settings.report_to)
    with folder.writing():
        task = open_task(folder)
        given = PruneSettings(**settings.model_dump(exclude={"run", "report_to"}))
        _prune(folder, task, given, methods, densities, trackers)


def parse_densities(option: str, text: str) -> tuple[float, ...]:
    """Read densities such as `0.9,0.6`, each once, in the order given.

    Raises:
        InputError: something that is not a number above 0 and at most 1.
    """
    found = []
    for part in text.split(","):
        try:
            density = float(part)
        except ValueError:
            density = 0.0
        if not 0 < density <= 1:
            raise InputError(f"{option} needs numbers above 0 and at most 1, such as 0.9,0.6; got {part.strip()!r}")
        found.append(density)
    return tuple(dict.fromkeys(found))
