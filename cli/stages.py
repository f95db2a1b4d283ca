"""`secateur finetune`, `supernet`, `search`, `prune`, `report`: settings in, a verb of `Run`, hardly a line out."""

from __future__ import annotations

from ..run.processes import first_process_first
from ..run.run import Run
from ..run.settings.project import ProjectSettings
from ..run.settings.prune import PruneVerb
from ..run.settings.search import FarmSettings
from .console import TERMINAL, out
from .front import end_with_front
from .settings import FinetuneCommand, PruneCommand, ReportCommand, SearchCommand, SupernetCommand, fields_of


def finetune(settings: FinetuneCommand) -> None:
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""
    from ..supernet.training.tracking import parse_trackers  # here: a report is drawn without torch

    parse_trackers(settings.report_to)
    with first_process_first():
        run = Run.create(settings.out, tell=TERMINAL, **fields_of(settings, ProjectSettings))
    run.finetune(**fields_of(settings.finetune), report_to=settings.report_to)


def supernet(settings: SupernetCommand) -> None:
    """Train the supernet of a run."""
    Run(settings.run, tell=TERMINAL).train_supernet(**fields_of(settings.supernet), report_to=settings.report_to)


def search(settings: SearchCommand) -> None:
    """Search the trained supernet; ends with the front."""
    run = Run(settings.run, tell=TERMINAL)
    run.search(**fields_of(settings.search), **fields_of(settings, FarmSettings), standard=settings.standard)
    end_with_front(run)


def prune(settings: PruneCommand) -> None:
    """Prune the fine-tuned model by methods that need no search; every model is kept in the run's archive."""
    Run(settings.run, tell=TERMINAL).prune(**fields_of(settings, PruneVerb))


def report(settings: ReportCommand) -> None:
    """Draw all that the run has found: report.html to explore, front.png to show."""
    run = Run(settings.run, tell=TERMINAL)
    out.print(f"page: {run.report()}, picture: {run.path / 'front.png'}", markup=False)
