"""`secateur nest`: the front's models in one folder."""

from __future__ import annotations

from ..evaluation.objectives.disk import MB
from ..run.run import Run
from ..run.settings.ship import NestSettings
from .console import TERMINAL, out, print_json
from .settings import NestCommand, fields_of
from .tables import show


def nest(settings: NestCommand) -> None:
    """Write the models of a run's front into one folder, from which any of them is cut out when it is loaded."""
    done = Run(settings.run, tell=TERMINAL).nest(**fields_of(settings, NestSettings))
    if settings.as_json:
        print_json(done.to_json())
        return
    count = len(done.nested.models)
    title = (
        f"{done.nested.folder}: {count} models of {done.whole}, {done.nested.size / MB:.1f} MB in all; the weights of "
        f"{count} checkpoints are {done.apart / MB:.1f} MB\nms are predicted for {done.nested.conditions}"
    )
    show(title, done.columns)
    for line in ("load one with", "  import secateur", f'  secateur.load("{settings.to}", latency_ms=...)'):
        out.print(line, markup=False)
