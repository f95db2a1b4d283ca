"""The report of a run: a page and a picture, made from the archive and run.json."""

from __future__ import annotations

from ..run.choice.front import open_archive
from ..run.folder import RunFolder
from ..run.project import open_task
from ..run.report.report import write_report
from .console import TERMINAL, out
from .settings import ReportCommand


def report(settings: ReportCommand) -> None:
    """Draw all that the run has found: report.html to explore, front.png to show."""
    folder = RunFolder.open(settings.run, TERMINAL)
    with open_archive(folder) as archive:
        page = write_report(folder, archive, open_task(folder))
    out.print(f"page: {page}, picture: {folder.path / 'front.png'}", markup=False)
