"""What it brings a supernet to have its heads and neurons sorted by importance before it is trained.

    python -m secateur.benchmarks.importance_order RUN [--rows 3000] [--epochs 1] [--seeds 3] [--spaces small,medium]
        [--orders none,random,...] [--results FILE] [--json]

RUN is a run folder with a fine-tuned model. For each order and seed the same recipe (`full`, k = 2) trains a supernet
for the same steps on the same texts; then the same points of its space are evaluated on texts of the selection split,
and their front is scored on the report split. Printed is the hypervolume of (error, share of the encoder's parameters)
that the front covers on the report split, between nothing at all and the majority class's error with the whole encoder;
its mean and standard deviation over the seeds, which also decide the texts and what the importances look at.

Trainings that are done are kept in the file of `--results` and are not repeated.
"""

from __future__ import annotations

import json as json_module
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ..evaluation.error import SplitError
from ..evaluation.model_error import constant_error
from ..evaluation.pareto import is_front, normalised_hypervolume
from ..pruners.importance import IMPORTANCES
from ..run.folder import RunFolder
from ..run.project import load_supernet, open_task
from ..search_space import SPACES, SearchSpace, Small, SubnetMask
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.reordering import reorder
from ..supernet.training.settings import SupernetSettings
from ..supernet.training.supernet_training import train_supernet
from ..tasks import Task
from .common import JsonOption, Known, show, some_rows

NONE = "none"
ORDERS = (NONE, *IMPORTANCES)
HEADS = (1 / 12, 1 / 4, 1 / 2, 3 / 4, 1)
NEURONS = (1 / 32, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
POINTS = 40  # of a space that is not enumerated on a grid


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    rows: Annotated[int, typer.Option(help="training texts")] = 3000,
    epochs: Annotated[float, typer.Option(help="passes over them")] = 1.0,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each order in each space")] = 3,
    spaces: Annotated[str, typer.Option(help="comma-separated")] = "small,medium",
    orders: Annotated[str, typer.Option(help="comma-separated")] = ",".join(ORDERS),
    selection: Annotated[int, typer.Option(help="texts of the selection split to choose on")] = 1000,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/importance_order.jsonl"),
    json: JsonOption = False,
) -> None:
    """Train, evaluate, print."""
    folder = RunFolder.open(run)
    task = open_task(folder)
    task = replace(task, selection=some_rows(task.selection, selection, 0))
    wanted = [
        (space, order, seed) for seed in range(seeds) for space in spaces.split(",") for order in orders.split(",")
    ]
    done: dict[tuple[str, str, int], float] = {}
    basis, known = f"{folder.project.task} {rows} {epochs:g} {selection}", Known(results)
    for space, order, seed in wanted:

        def volume(space: str = space, order: str = order, seed: int = seed) -> float:
            some = replace(task, train=some_rows(task.train, rows, seed))
            return front_volume(load_supernet(folder.finetuned), space, order, some, epochs, seed)

        key = {"basis": basis, "space": space, "order": order, "seed": seed}
        done[space, order, seed] = known.find(key, volume)
    summary = {
        space: {order: [done[space, order, seed] for seed in range(seeds)] for order in orders.split(",")}
        for space in spaces.split(",")
    }
    if json:
        print(json_module.dumps(summary))
        return
    lines = [
        (order, *(_mean_and_deviation(summary[space][order]) for space in summary))
        for order in sorted(orders.split(","), key=lambda o: -sum(statistics.mean(s[o]) for s in summary.values()))
    ]
    title = f"{folder.project.task}, {rows} texts, {epochs:g} epochs, {seeds} seeds: hypervolume, report split"
    show(title, ("order", *summary), lines)


def _mean_and_deviation(values: list[float]) -> str:
    spread = f" ± {statistics.stdev(values):.4f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.4f}{spread}"


def front_volume(supernet: Supernet, space_name: str, order: str, task: Task, epochs: float, seed: int) -> float:
    """Sort and train a supernet, and return the hypervolume of what it holds.

    Args:
        supernet: the fine-tuned model, changed.
        space_name: in SPACES.
        order: in ORDERS.
        task: its training split is trained on, its selection split chosen on, its report split reported.
        epochs: passes over the training split.
        seed: of the importance and the training.
    """
    if order != NONE:
        reorder(supernet, IMPORTANCES[order](supernet, task, np.random.default_rng([seed, 4])))
    space = SPACES[space_name](supernet.shape)
    settings = SupernetSettings(epochs=epochs, learning_rate=1e-4, strategy="full", k=2)
    train_supernet(supernet, space, task, settings, seed=seed)
    dtype = resolve_precision("auto", torch.device(supernet.device))
    splits = (task.selection, next(iter(task.report.values())))
    selection, report = (
        SplitError(supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype) for split in splits
    )
    masks, values = [], []
    for mask in _points(space):
        for depth, error in selection.errors(mask, range(mask.depth, -1, -1)).items():
            masks.append(mask.truncated(depth))
            values.append((error, masks[-1].encoder_parameters(space.shape) / space.shape.encoder_parameters))
    chosen = np.flatnonzero(is_front(values))
    scored = [(report.errors(masks[i], [masks[i].depth])[masks[i].depth], values[i][1]) for i in chosen]
    return normalised_hypervolume(scored, (0.0, 0.0), (constant_error(splits[1], task.metric), 1.0))


def _points(space: SearchSpace) -> list[SubnetMask]:
    """Return the same points for every order: a grid of `small`, points of all sizes of another space."""
    if isinstance(space, Small):
        shares = [(1.0, heads, neurons) for heads in HEADS for neurons in NEURONS]
        return [space.mask(np.maximum(1, np.round(space.largest * share)).astype(np.int64)) for share in shares]
    xs = space.sample_by_size(POINTS, np.random.default_rng(0))
    return [space.mask(x) for x in (space.largest, *xs)]


if __name__ == "__main__":
    typer.run(main)
