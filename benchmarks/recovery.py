"""What a recovery brings to models of a search's front, step by step.

    python -m secateur.benchmarks.recovery RUN [--shares 3/4,1/2,1/4,1/6,1/10] [--steps 100,300,1000]
        [--learning-rates 5e-5] [--results FILE] [--json]

RUN is the folder of a run that was searched. The models are those that `secateur front RUN --shares` shows: the best
within each share of the encoder's parameters. Each is cut out and recovered as `secateur recover` does, once for each
number of steps. Printed are the scores on the selection split, which the defaults were chosen on, and on the
report split, before and after, and the seconds.

Recoveries that are done are kept in the file of `--results` and are not repeated.
"""

from __future__ import annotations

import itertools
import json as json_module
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer

from ..evaluation.evaluation import SELECTION, Evaluation
from ..evaluation.model_error import model_error
from ..evaluation.objectives import ERROR
from ..evaluation.weights import Weights
from ..run.choice.front import open_archive, whole_model, within_shares
from ..run.folder import RunFolder, file_digest
from ..run.project import open_supernet, open_task
from ..run.settings.parsing import parse_shares
from ..run.settings.recovery import RecoverOptions
from ..run.ship.recovery import recovered
from ..supernet.extraction import extract
from ..supernet.precision import resolve_precision
from .common import JsonOption, Known, show

_SIZE = "encoder_parameters"


@dataclass(frozen=True)
class Cell:
    """One recovery of one model; scores are 1 - error, `before` and `after` on the report split."""

    size: float
    steps: int
    learning_rate: float
    selection_before: float
    selection_after: float
    before: float
    after: float
    seconds: float


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a search")],
    shares: Annotated[str, typer.Option(help="of the encoder's parameters, comma-separated")] = "3/4,1/2,1/4,1/6,1/10",
    steps: Annotated[str, typer.Option(help="comma-separated")] = "100,300,1000",
    learning_rates: Annotated[str, typer.Option(help="comma-separated")] = str(RecoverOptions().learning_rate),
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/recovery.jsonl"),
    json: JsonOption = False,
) -> None:
    """Cut out, recover, score, print."""
    folder = RunFolder.open(run)
    with open_archive(folder) as archive:
        kind = Weights.SUPERNET
        points = within_shares(archive, whole_model(archive, kind), _SIZE, parse_shares(shares), kind)
        chosen = [archive.lookup(key, SELECTION, weights=kind) for key in dict.fromkeys(p.key for p in points)]
    supernet, _ = open_supernet(folder)
    task, precision = open_task(folder), resolve_precision("auto", supernet.device)
    basis = f"{task.name} {file_digest(folder.supernet / 'model.safetensors')}"

    def selection(model: Any) -> float:
        model.eval()
        return 1 - model_error(model, task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=precision)

    def train(one: Evaluation, count: int, rate: float) -> dict[str, float]:
        model = extract(supernet.model, one.mask)
        start = selection(model)
        options = RecoverOptions(steps=count, learning_rate=rate)
        with tempfile.TemporaryDirectory() as state:
            done = recovered(folder, task, model, options, Path(state))
        before, after = 1 - done.before[ERROR], 1 - done.after[ERROR]
        size = one.values[_SIZE] / supernet.shape.encoder_parameters
        return vars(Cell(size, count, rate, start, selection(model), before, after, done.seconds))

    cells, known = [], Known(results)
    numbers = [int(count) for count in steps.split(",")], [float(rate) for rate in learning_rates.split(",")]
    for one, count, rate in itertools.product(chosen, *numbers):
        assert one is not None  # it is on the front
        name = f"{basis} {one.key} {count} {rate:g}"
        cells.append(Cell(**known.find({"name": name}, partial(train, one, count, rate))))
    if json:
        print(json_module.dumps([vars(cell) for cell in cells]))
    else:
        _print(f"{task.name}, {task.metric.name}: recovery of {len(chosen)} models of {run}", cells)


def _print(title: str, cells: list[Cell]) -> None:
    header = ("encoder kept", "steps", "rate", "selection before", "after", "report before", "after", "s")
    rows = []
    for cell in cells:
        scores = (cell.selection_before, cell.selection_after, cell.before, cell.after)
        shown = (f"{100 * score:.1f}" for score in scores)
        rows.append((f"{cell.size:.1%}", str(cell.steps), f"{cell.learning_rate:g}", *shown, f"{cell.seconds:.0f}"))
    show(title, header, rows)


if __name__ == "__main__":
    torch.set_num_threads(torch.get_num_threads())
    typer.run(main)
