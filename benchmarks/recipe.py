"""What each ingredient of the supernet's recipe brings: one change at a time, the same number of steps.

    python -m secateur.benchmarks.recipe RUN [--rows 6920] [--epochs 3] [--seed 0] [--json]

RUN is a run folder with a fine-tuned model. Each row trains the supernet anew, with one thing changed from the recipe
that is named first, and reads a grid of the `small` space: the model of the lowest selection error within each share of
the encoder's parameters, its score on the report split. (The shares are the columns; the last column is the mean
selection score over all sizes, which is less noisy.) Rows that were trained are kept beside the run and not repeated.
"""

from __future__ import annotations

import json as json_module
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from ..evaluation.error import SplitError
from ..run.folder import RunFolder
from ..run.project import load_supernet, open_task
from ..search_space import Small
from ..supernet.precision import resolve_precision
from ..supernet.training.settings import SupernetSettings
from ..supernet.training.supernet_training import train_supernet
from ..tasks import Task
from .common import JsonOption, show, some_rows

SHARES = (1.0, 3 / 4, 1 / 2, 1 / 4, 1 / 6)
HEADS = (1 / 12, 1 / 6, 1 / 3, 1 / 2, 3 / 4, 1)
NEURONS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)
RECIPE = {"learning_rate": 1e-4}
CHANGES: dict[str, dict[str, Any]] = {
    "the recipe": {},
    "sampling as in the paper": {"sampling": "paper"},
    "dropout on all": {"dropout": "all"},
    "no dropout": {"dropout": "none"},
    "temperature 2": {"temperature": 2.0},
    "no warm-up, no clipping": {"warmup": 0.0, "clip": 0.0},
    "rate 2e-5": {"learning_rate": 2e-5},
    "all of these but temperature": {
        "sampling": "paper",
        "dropout": "all",
        "warmup": 0.0,
        "clip": 0.0,
        "learning_rate": 2e-5,
    },
    "four times the texts": {},
}


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    rows: Annotated[int, typer.Option(help="training texts, drawn by the seed")] = 6920,
    epochs: Annotated[float, typer.Option(help="passes over them")] = 3.0,
    seed: Annotated[int, typer.Option(help="of the texts and the training")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="rows wanted; all if not given")] = None,
    json: JsonOption = False,
) -> None:
    """Train, evaluate, print."""
    folder = RunFolder.open(run)
    task = open_task(folder)
    found: dict[str, dict[str, float]] = {}
    for name in only or CHANGES:
        times = 4 if name == "four times the texts" else 1
        kept = folder.path / "recipe" / f"{name} {rows} {epochs:g} {seed}.json"
        if not kept.exists():
            options = {**RECIPE, "epochs": epochs / times, **CHANGES[name]}
            some = replace(task, train=some_rows(task.train, rows * times, seed))
            values = _trained(folder, some, SupernetSettings.model_validate(options), seed)
            kept.parent.mkdir(exist_ok=True)
            kept.write_text(json_module.dumps(values))
        found[name] = json_module.loads(kept.read_text())
    if json:
        print(json_module.dumps(found))
    else:
        header = ("", *(f"<= {share:.0%}" for share in SHARES), "mean, selection")
        lines = [(name, *(f"{value:.1%}" for value in values.values())) for name, values in found.items()]
        show(f"{folder.project.task}, {rows} texts, {epochs:g} epochs, seed {seed}: score on report", header, lines)


def _trained(folder: RunFolder, task: Task, settings: SupernetSettings, seed: int) -> dict[str, float]:
    supernet = load_supernet(folder.finetuned)
    space = Small(supernet.shape)
    train_supernet(supernet, space, task, settings, seed=seed)
    dtype = resolve_precision("auto", torch.device(supernet.device))
    splits = (task.selection, next(iter(task.report.values())))
    selection, report = (
        SplitError(supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype) for split in splits
    )
    depths = range(supernet.shape.num_layers + 1)
    sizes, scores, reported = [], [], []
    for heads in HEADS:
        for neurons in NEURONS:
            mask = space.mask(np.maximum(1, np.round(space.largest * (1, heads, neurons)).astype(np.int64)))
            errors, on_report = selection.errors(mask, depths), report.errors(mask, depths)
            for depth in depths:
                sizes.append(mask.truncated(depth).encoder_parameters(supernet.shape))
                scores.append(1 - errors[depth])
                reported.append(1 - on_report[depth])
    share = np.array(sizes) / supernet.shape.encoder_parameters
    best = {limit: int(np.argmax(np.where(share <= limit + 1e-9, scores, 0.0))) for limit in SHARES}
    mean = np.mean([max(np.array(scores)[share <= limit]) for limit in np.linspace(0.05, 1.0, 39)])
    return {f"{limit:.3f}": reported[best[limit]] for limit in SHARES} | {"mean_selection": float(mean)}


if __name__ == "__main__":
    typer.run(main)
