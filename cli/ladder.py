"""`secateur ladder`: models of falling size, each from the one before it."""

from __future__ import annotations

from ..run.run import Run
from ..run.settings.ladder import LadderSettings
from ..run.settings.training import TrackingSettings
from .console import TERMINAL, print_json
from .front import show_front
from .settings import LadderCommand, fields_of


def ladder(settings: LadderCommand) -> None:
    """Make the rungs that are not there yet, and show all that were asked for."""
    run = Run(settings.run, tell=TERMINAL)
    rungs = run.ladder(**fields_of(settings, LadderSettings), **fields_of(settings, TrackingSettings))
    if settings.as_json:
        print_json(rungs.facts())
        return
    show_front(rungs)
