"""`secateur front`: the subnetworks that nothing beats."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from ..evaluation.archive import Archive
from ..evaluation.evaluation import SEARCHED, SELECTION
from ..run.choice.front import Front
from ..run.constant import MARK
from ..run.model import Model
from ..run.run import Run
from ..run.settings import FrontSettings, parse_shares
from .console import TERMINAL, out, print_json, print_text, say
from .settings import FrontCommand, fields_of
from .tables import Column, amount, fixed, show
from .terminal import draw, front_clouds


def front(settings: FrontCommand) -> None:
    """Print the front of a run, the most accurate first."""
    run = Run(settings.run, tell=TERMINAL)
    models = run.front(**fields_of(settings, FrontSettings))
    if settings.as_json:
        print_json([model.facts() for model in models])
        return
    with run.archive() as archive:
        for line in _drawing(archive, models, settings):
            out.print(line)
    # Each share once, as it was written.
    parts = () if settings.shares is None else settings.shares.split(",")
    shares = {parse_shares(part): part.strip() for part in parts}
    show_front(models, ["all", *shares.values()] if shares else [])


def end_with_front(run: Run) -> None:
    """End a command with the front of the run and what comes next."""
    models = run.front()
    show_front(models)
    say(f"next: secateur pick {run.path} --{_budget(models)}")


def _budget(models: Front) -> str:
    """Return a budget as `pick` takes it, that about half of a front keeps."""
    times = sorted(model.latency_ms for model in models if model.latency_ms is not None)
    return f"latency-ms {amount(times[len(times) // 2])}" if times else "error 0.1"


def _drawing(archive: Archive, models: Front, settings: FrontCommand) -> list[Text]:
    """Draw the front in a terminal."""
    evaluated = archive.evaluations(split=SELECTION, weights=settings.weights or SEARCHED)
    chosen = {(model.key, model.weights) for model in models}
    front = [one for one in evaluated if (one.key, one.weights) in chosen]
    clouds = front_clouds(evaluated, front, settings.against)
    cost = "latency, predicted (ms)" if settings.against == "latency_ms" else settings.against.replace("_", " ")
    return draw(clouds, cost, "error, selection split", out)


def show_front(models: Front, shares: Sequence[str] = ()) -> None:
    """Print the front as a table; columns that would say nothing are left out.

    Args:
        models: a row each.
        shares: what their rows are called, of a front of shares.
    """
    columns = [Column("share", shares, left=True)] if shares else []
    columns.append(Column("key", [m.key for m in models], left=True))
    labels = len(columns)
    if len({m.weights for m in models}) > 1:
        columns.append(Column("weights", [m.weights for m in models], left=True))
    if any(m.density is not None for m in models):
        made = [m.method if m.density is None else f"{m.method} {m.density:g}" for m in models]
        columns.append(Column("method", made, left=True))
    columns += [*structure(models), *errors(models)]
    costs = dict.fromkeys(("encoder_parameters", models.against, "latency_ms"))
    costs |= {"nonzero": None} if any(m.nonzero is not None for m in models) else {}
    columns += [column for name in costs if (column := cost(name, models)) is not None]
    show(f"{models.title}, error = 1 - metric", columns, labels)
    for note in models.notes:
        print_text(note)


def structure(models: Sequence[Model]) -> list[Column]:
    """Return what is left of each model."""
    return [
        Column("layers", [str(m.layers) for m in models]),
        Column("heads", [_counts(m.heads) for m in models]),
        Column("neurons", [_counts(m.neurons) for m in models]),
    ]


def errors(models: Sequence[Model]) -> list[Column]:
    """Return the errors, those of models that are no better than a constant answer marked."""
    marks = [f" {MARK}" if m.constant else "" for m in models]
    selection = [f"{m.error_selection:.4f}{mark}" for m, mark in zip(models, marks, strict=True)]
    columns = [Column("error, selection", selection), Column("error, report", [fixed(m.error_report) for m in models])]
    if any(m.error_int8 is not None for m in models):
        columns.append(Column("error, int8", [fixed(m.error_int8) for m in models]))
    return columns


_COSTS = {"encoder_parameters": "encoder", "latency_ms": "ms", "memory_mb": "MB of memory", "disk_mb": "MB on disk"}


def cost(name: str, models: Sequence[Model]) -> Column | None:
    """Return the column of a cost, None if no model has it; the latency as measured, or as the table predicts it."""
    values = [m.cost(name) for m in models]
    if all(value is None for value in values):
        return None
    if name == "nonzero":
        return Column("non-zero", ["-" if value is None else f"{value:.1%}" for value in values])
    about = ["about " if m.is_predicted(name) else "" for m in models]
    cells = [prefix + amount(value) for prefix, value in zip(about, values, strict=True)]
    return Column(_COSTS.get(name, name.replace("_", " ")), cells)


def _counts(counts: tuple[int, ...]) -> str:
    """Write what the layers keep: one number if all that keep anything agree, else one per layer."""
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "-" if not used else "/".join(map(str, counts))
