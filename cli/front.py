"""`secateur front`: the subnetworks that nothing beats."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction

from rich.table import Table
from rich.text import Text

from ..errors import InputError
from ..evaluation.archive import Archive
from ..evaluation.evaluation import SEARCHED, SELECTION
from ..run.choice.front import front_points, open_archive, whole_point, within_shares
from ..run.folder import RunFolder
from ..run.model import FrontPoint
from .console import TERMINAL, out
from .settings import FrontCommand
from .terminal import draw, front_clouds


def front(settings: FrontCommand) -> None:
    """Print the front of a run, the most accurate first."""
    folder = RunFolder.open(settings.run, TERMINAL)
    shares = None if settings.shares is None else parse_shares(settings.shares)
    with open_archive(folder) as archive:
        points = front_points(archive, settings.against, settings.weights)
        if shares is not None:
            whole = whole_point(folder, archive, settings.weights)
            points = within_shares(whole, points, settings.against, shares)
        lines = [] if settings.as_json else _drawing(archive, points, settings)
    if settings.as_json:
        out.print_json(json.dumps([asdict(point) for point in points]))
        return
    for line in lines:
        out.print(line)
    out.print(front_table(folder, points))


def _drawing(archive: Archive, points: list[FrontPoint], settings: FrontCommand) -> list[Text]:
    """Draw the front in a terminal."""
    evaluated = archive.evaluations(split=SELECTION, weights=settings.weights or SEARCHED)
    chosen = {(p.key, p.weights) for p in points}
    front = [one for one in evaluated if (one.key, one.weights) in chosen]
    clouds = front_clouds(evaluated, front, settings.against)
    cost = "latency, predicted (ms)" if settings.against == "latency_ms" else settings.against.replace("_", " ")
    return draw(clouds, cost, "error, selection split", out)


def parse_shares(text: str) -> tuple[Fraction, ...]:
    """Read shares such as `3/4,1/2,0.1`.

    Raises:
        InputError: something that is not a number above 0 and at most 1.
    """
    shares = []
    for part in text.split(","):
        try:
            share = Fraction(part.strip())
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        if not 0 < share <= 1:
            raise InputError(f"--shares needs numbers above 0 and at most 1, such as 3/4,1/2,0.1; got {part.strip()!r}")
        shares.append(share)
    return tuple(shares)


def front_table(folder: RunFolder, points: list[FrontPoint]) -> Table:
    """Draw the front as a table."""
    table = Table(title=f"{folder.path}: {folder.project.task}, error = 1 - metric", title_justify="left")
    table.add_column("key", no_wrap=True)
    both = len({p.weights for p in points}) > 1
    pruned = any(p.density is not None for p in points)
    if both:
        table.add_column("weights", no_wrap=True)
    if pruned:
        table.add_column("method", no_wrap=True)
        table.add_column("density", justify="right")
    for name in ("layers", "heads", "neurons"):
        table.add_column(name, justify="right")
    int8 = any(p.error_int8 is not None for p in points)
    latency = "int8: error, ms (quartiles)" if int8 else "latency ms (quartiles)"
    for name in ("error, selection", "error, report", "parameters", "encoder", "MACs", latency):
        table.add_column(name, justify="right", no_wrap=out.width >= 120)
    for p in points:
        table.add_row(
            p.key,
            *((p.weights,) if both else ()),
            *((p.method, "-" if p.density is None else f"{p.density:g}") if pruned else ()),
            str(sum(1 for h, n in zip(p.heads, p.neurons, strict=True) if h or n)),
            kept(p.heads),
            kept(p.neurons),
            f"{p.error_selection:.4f}",
            f"{p.error_report:.4f}",
            _millions(p.parameters, 2),
            _millions(p.encoder_parameters, 2) if p.nonzero is None else f"{p.nonzero:.1%} non-zero",
            _millions(p.macs, 0),
            _served(p),
        )
    return table


def _served(p: FrontPoint) -> str:
    """Write the latency, in int8 with the error that goes with it."""
    error = "" if p.error_int8 is None else f"{p.error_int8:.4f}, "
    return (
        "-" if p.latency_ms is None else f"{error}{p.latency_ms:.2f} ({p.latency_low_ms:.2f}-{p.latency_high_ms:.2f})"
    )


def _millions(count: int | None, digits: int) -> str:
    return "-" if count is None else f"{count / 1e6:.{digits}f} M"


def kept(counts: tuple[int, ...]) -> str:
    """Write what the layers keep: one number if all that keep anything agree, else one per layer."""
    used = {count for count in counts if count}
    return str(used.pop()) if len(used) == 1 else "-" if not used else "/".join(map(str, counts))
