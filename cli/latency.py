"""`secateur latency`: a latency table for one way of running models on this machine."""

from __future__ import annotations

from ..evaluation.latency import LatencyTable
from ..run.latency import latency_table_path
from ..run.run import Run
from ..run.settings.latency import LatencyVerb
from ..run.telling import duration
from .console import TERMINAL, out, print_text
from .settings import LatencyCommand, fields_of


def latency(settings: LatencyCommand) -> None:
    """Measure how long subnetworks of a run take on this machine, used in a certain way, and how well that predicts."""
    run = Run(settings.run, tell=TERMINAL)
    table = run.latency(**fields_of(settings, LatencyVerb))
    path = latency_table_path(run.folder, table.target)
    for line in facts(table):
        print_text(line)
    out.print(f"kept in {path}; --again measures it again", markup=False)


def facts(table: LatencyTable) -> list[str]:
    """Say how well a table predicts."""
    found = table.accuracy
    return [
        str(table.target),
        f"on {found.networks} networks that it was not fitted on: median error {table.error:.1%}, worst "
        f"{found.worst:.1%}, Kendall's tau {found.tau:.3f}",
        f"the whole network: p50 {found.whole_p50:.2f} ms, p95 {found.whole_p95:.2f} ms",
        f"calibrated in {duration(found.seconds)}; the reference's time varied by {found.spread:.1%}",
    ]
