"""`secateur report`: the page and the picture of a run."""

from __future__ import annotations

from ..run.run import Run
from .console import TERMINAL, out
from .settings import ReportCommand


def report(settings: ReportCommand) -> None:
    """Draw all that the run has found: report.html to explore, front.png to show."""
    run = Run(settings.run, tell=TERMINAL)
    out.print(f"page: {run.report()}, picture: {run.path / 'front.png'}", markup=False)
