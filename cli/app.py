"""All commands of the command line; what carries one out is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from .. import __version__
from . import settings
from .options import Group, command

# By name: the section of the help, and what it can be told. The function of that name is in the file of that name, or
# among the stages.
COMMANDS: dict[str, tuple[str, type[BaseModel]]] = {
    "run": ("Stages of a run", settings.RunCommand),
    "finetune": ("Stages of a run", settings.FinetuneCommand),
    "supernet": ("Stages of a run", settings.SupernetCommand),
    "search": ("Stages of a run", settings.SearchCommand),
    "ladder": ("Stages of a run", settings.LadderCommand),
    "latency": ("Stages of a run", settings.LatencyCommand),
    "prune": ("Stages of a run", settings.PruneCommand),
    "compare": ("What a run has found", settings.CompareCommand),
    "report": ("What a run has found", settings.ReportCommand),
    "front": ("What a run has found", settings.FrontCommand),
    "pick": ("What a run has found", settings.PickCommand),
    "extract": ("Models to take away", settings.ExtractCommand),
    "export": ("Models to take away", settings.ExportCommand),
    "nest": ("Models to take away", settings.NestCommand),
    "recover": ("Models to take away", settings.RecoverCommand),
    "convert": ("Models to take away", settings.ConvertCommand),
    "vocabulary": ("Models to take away", settings.VocabularyCommand),
    "bench": ("Models to take away", settings.BenchCommand),
}


_STAGES = ("finetune", "supernet", "search", "prune", "report")  # in one file


def function_of(name: str) -> Callable[[Any], None]:
    """Import what carries a command out."""
    return getattr(import_module(f".{'stages' if name in _STAGES else name}", __package__), name)


def make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """Build the command line from the settings of these commands."""
    app = typer.Typer(cls=Group, rich_markup_mode=None, pretty_exceptions_enable=False, callback=_general)
    for name in names:
        panel, model = COMMANDS[name]
        command(app, name, model, lambda given, name=name: function_of(name)(given), panel=panel)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"secateur {__version__}")
        raise typer.Exit


def _general(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="show the version and exit")
    ] = False,
) -> None:
    """Find the Pareto front of subnetworks inside one fine-tuned BERT."""
