"""`secateur search`: which subnetworks are worth their size."""

from __future__ import annotations

from ..run.folder import RunFolder
from ..run.project import open_task
from ..run.stages.search import check, search_stage
from ..run.stages.workers import check_farming
from .console import TERMINAL
from .settings import SearchCommand


def search(settings: SearchCommand) -> None:
    """Search the trained supernet; every evaluation is kept, and a later search adds to the same archive."""
    folder = RunFolder.open(settings.run, TERMINAL)
    check(settings.search)
    check_farming(settings, settings.search.searcher)
    search_stage(folder, open_task(folder), settings.search, settings.standard, settings)
