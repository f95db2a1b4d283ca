"""`secateur front`: the subnetworks that nothing beats."""

from __future__ import annotations

from ..evaluation.evaluation import SELECTION
from ..evaluation.weights import ONE_PER_MASK
from ..run.choice.columns import amount
from ..run.choice.front import Front, front_clouds
from ..run.run import Run
from ..run.settings.choice import FrontSettings
from .console import TERMINAL, out, print_json, print_text, say
from .settings import FrontCommand, fields_of
from .tables import show
from .terminal import draw


def front(settings: FrontCommand) -> None:
    """Print the front of a run, the most accurate first."""
    run = Run(settings.run, tell=TERMINAL)
    models = run.front(**fields_of(settings, FrontSettings))
    if settings.as_json:
        print_json([model.facts() for model in models])
        return
    with run.archive() as archive:
        evaluated = archive.evaluations(split=SELECTION, weights=settings.weights or ONE_PER_MASK)
    cost = "latency, predicted (ms)" if settings.against == "latency_ms" else settings.against.replace("_", " ")
    for line in draw(front_clouds(evaluated, models, settings.against), cost, "error, selection split", out):
        out.print(line)
    show_front(models)


def show_front(models: Front) -> None:
    """Print the front as a table, with what must be known of it."""
    show(f"{models.title}, error = 1 - metric", models.columns, 2 if models.shares else 1, out)
    for note in models.notes:
        print_text(note)


def end_with_front(run: Run) -> None:
    """End a command with the front of the run and what comes next: a budget that about half of the front keeps."""
    models = run.front()
    show_front(models)
    times = sorted(model.latency_ms for model in models if model.latency_ms is not None)
    budget = f"latency-ms {amount(times[len(times) // 2])}" if times else "error 0.1"
    say(f"next: secateur pick {run.path} --{budget}")
