"""`secateur export`: from the front to production, in one go."""

from __future__ import annotations

from ..run.choice.columns import amount
from ..run.run import Run
from ..run.settings.ship import ExportSettings
from .console import TERMINAL, print_json, print_text
from .extract import say_how_to_load
from .settings import ExportCommand, fields_of
from .tables import show


def export(settings: ExportCommand) -> None:
    """Pick a model, cut it out, recover, save and convert it, and check each step on the report split."""
    done = Run(settings.run, tell=TERMINAL).export(**fields_of(settings, ExportSettings))
    if settings.as_json:
        print_json(done.to_json())
        return
    title = f"{done.checkpoint.folder}: {amount(done.facts.parameters)} parameters\n{done.target}"
    show(title, done.columns, labels=2)
    if done.vocabulary is not None:
        print_text(done.vocabulary.line)
    say_how_to_load(done.checkpoint)
