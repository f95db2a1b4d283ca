"""`secateur export`: from the front to production, in one go."""

from __future__ import annotations

from rich.table import Table

from ..run.run import Run
from ..run.settings import ExportSettings
from ..run.ship.export import cells, header
from .console import TERMINAL, out
from .extract import say_how_to_load
from .settings import ExportCommand, fields_of


def export(settings: ExportCommand) -> None:
    """Pick a model, cut it out, recover, save and convert it, and check each step on the report split."""
    done = Run(settings.run, tell=TERMINAL).export(**fields_of(settings, ExportSettings))
    if settings.as_json:
        out.print_json(data=done.to_json())
        return
    facts = done.facts
    title = f"{done.checkpoint.folder}: {facts.parameters / 1e6:.2f} M parameters\n{done.target}"
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(header(facts.metric)):
        table.add_column(name, justify="left" if i < 2 else "right", overflow="fold")
    for row in done.rows:
        table.add_row(*cells(row))
    out.print(table)
    say_how_to_load(done.checkpoint)
