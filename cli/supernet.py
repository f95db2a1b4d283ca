"""`secateur supernet`: all subnetworks are trained together."""

from __future__ import annotations

from ..run.run import Run
from .console import TERMINAL
from .settings import SupernetCommand, fields_of


def supernet(settings: SupernetCommand) -> None:
    """Train the supernet of a run."""
    own = fields_of(settings.supernet, type(settings.supernet))
    Run(settings.run, tell=TERMINAL).train_supernet(**own, report_to=settings.report_to)
