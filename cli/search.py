"""`secateur search`: which subnetworks are worth their size."""

from __future__ import annotations

from ..run.run import Run
from ..run.settings import FarmSettings
from .console import TERMINAL
from .front import end_with_front
from .settings import SearchCommand, fields_of


def search(settings: SearchCommand) -> None:
    """Search the trained supernet; every evaluation is kept, and a later search adds to the same archive.

    Ends with the front.
    """
    own, farm = fields_of(settings.search, type(settings.search)), fields_of(settings, FarmSettings)
    run = Run(settings.run, tell=TERMINAL)
    run.search(**own, **farm, standard=settings.standard)
    end_with_front(run)
