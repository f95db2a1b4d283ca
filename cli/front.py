"""`secateur front`: the subnetworks that nothing beats."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ..evaluation.archive import Archive
from ..evaluation.evaluation import SEARCHED, SELECTION
from ..run.choice.front import Front
from ..run.run import Run
from ..run.settings import FrontSettings
from .console import TERMINAL, out
from .settings import FrontCommand, fields_of
from .terminal import draw, front_clouds


def front(settings: FrontCommand) -> None:
    """Print the front of a run, the most accurate first."""
    run = Run(settings.run, tell=TERMINAL)
    models = run.front(**fields_of(settings, FrontSettings))
    if settings.as_json:
        out.print_json(data=[model.facts() for model in models])
        return
    with run.archive() as archive:
        for line in _drawing(archive, models, settings):
            out.print(line)
    shares = () if settings.shares is None else ("all", *settings.shares.split(","))
    out.print(front_table(models, shares))


def _drawing(archive: Archive, models: Front, settings: FrontCommand) -> list[Text]:
    """Draw the front in a terminal."""
    evaluated = archive.evaluations(split=SELECTION, weights=settings.weights or SEARCHED)
    chosen = {(model.key, model.weights) for model in models}
    front = [one for one in evaluated if (one.key, one.weights) in chosen]
    clouds = front_clouds(evaluated, front, settings.against)
    cost = "latency, predicted (ms)" if settings.against == "latency_ms" else settings.against.replace("_", " ")
    return draw(clouds, cost, "error, selection split", out)


def front_table(models: Front, shares: Sequence[str] = ()) -> Table:
    """Draw the front as a table that is whole at 80 columns: what does not fit in one line is folded, never cut.

    Args:
        models: a row each.
        shares: what their rows are called, of a front of shares.
    """
    table = Table(title=f"{models.title}, error = 1 - metric", title_justify="left", padding=(0, 0, 0, 1))
    columns = _columns(models, shares)
    for name in columns:
        table.add_column(name, justify="left" if name in _LEFT else "right", overflow="fold", no_wrap=name == "key")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


_LEFT = ("share", "key", "weights", "method")


def _columns(models: Front, shares: Sequence[str]) -> dict[str, list[str]]:
    """Return the cells of each column; columns that would say nothing are left out."""
    found: dict[str, list[str]] = {"share": list(shares)} if shares else {}
    found["key"] = [m.key for m in models]
    if len({m.weights for m in models}) > 1:
        found["weights"] = [m.weights for m in models]
    if any(m.density is not None for m in models):
        found["method"] = [m.method if m.density is None else f"{m.method} {m.density:g}" for m in models]
    found["layers"] = [str(m.layers) for m in models]
    found["heads"], found["neurons"] = [kept(m.heads) for m in models], [kept(m.neurons) for m in models]
    found["error, selection"] = [f"{m.error_selection:.4f}" for m in models]
    found["error, report"] = ["-" if m.error_report is None else f"{m.error_report:.4f}" for m in models]
    found["encoder"] = [
        _millions(m.encoder_parameters, 2) if m.nonzero is None else f"{m.nonzero:.1%} non-zero" for m in models
    ]
    if models.against in ("parameters", "macs"):
        digits = 2 if models.against == "parameters" else 0
        found[models.against] = [_millions(getattr(m, models.against), digits) for m in models]
    if any(m.error_int8 is not None for m in models):
        found["error, int8"] = ["-" if m.error_int8 is None else f"{m.error_int8:.4f}" for m in models]
    found["ms"] = ["-" if m.latency_ms is None else f"{m.latency_ms:.2f}" for m in models]
    return found


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f} M"


def kept(counts: tuple[int, ...]) -> str:
    """Write what the layers keep: one number if all that keep anything agree, else one per layer."""
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "-" if not used else "/".join(map(str, counts))
