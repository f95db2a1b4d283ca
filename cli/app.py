"""All commands of the command line."""

from __future__ import annotations

import typer

from .bench import bench
from .compare import compare
from .convert import convert
from .export import export
from .extract import extract
from .finetune import finetune
from .front import front
from .latency import latency
from .options import command
from .pick import pick
from .prune import prune
from .recover import recover
from .report import report
from .run import run
from .search import search
from .settings import (
    BenchCommand,
    CompareCommand,
    ConvertCommand,
    ExportCommand,
    ExtractCommand,
    FinetuneCommand,
    FrontCommand,
    LatencyCommand,
    PickCommand,
    PruneCommand,
    RecoverCommand,
    ReportCommand,
    RunCommand,
    SearchCommand,
    SupernetCommand,
)
from .supernet import supernet


def make_app() -> typer.Typer:
    """Build the command line from the stages' settings."""
    app = typer.Typer(
        help="Find the Pareto front of subnetworks inside one fine-tuned BERT.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    command(app, "run", RunCommand, run)
    command(app, "finetune", FinetuneCommand, finetune)
    command(app, "supernet", SupernetCommand, supernet)
    command(app, "search", SearchCommand, search)
    command(app, "latency", LatencyCommand, latency)
    command(app, "prune", PruneCommand, prune)
    command(app, "compare", CompareCommand, compare)
    command(app, "report", ReportCommand, report)
    command(app, "front", FrontCommand, front)
    command(app, "pick", PickCommand, pick)
    command(app, "extract", ExtractCommand, extract)
    command(app, "export", ExportCommand, export)
    command(app, "recover", RecoverCommand, recover)
    command(app, "convert", ConvertCommand, convert)
    command(app, "bench", BenchCommand, bench)
    return app
