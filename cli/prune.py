"""`secateur prune`: subnetworks without a search."""

from __future__ import annotations

from ..run.run import Run
from ..run.settings import PruneVerb
from .console import TERMINAL
from .settings import PruneCommand, fields_of


def prune(settings: PruneCommand) -> None:
    """Prune the fine-tuned model by methods that need no search; every model is kept in the run's archive."""
    Run(settings.run, tell=TERMINAL).prune(**fields_of(settings, PruneVerb))
