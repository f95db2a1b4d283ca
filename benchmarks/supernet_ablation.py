"""What wakes the small networks of a supernet: one change at a time from the default, the same number of steps.

    python -m secateur.benchmarks.supernet_ablation RUN [--steps 300] [--rows 4000] [--batch-size 32] [--seeds 3]
        [--only NAME ...] [--results FILE] [--json]

RUN is a run folder with a fine-tuned model. Each row trains the supernet of the `small` space anew, with one thing
changed from the default, and one all that has become the default since the first recipe. Printed, in percent and
averaged over the seeds, are scores on the report split: of networks of full width with 1, 2, ... layers, and the means
of the smaller and the larger half of points of the space, the same for all rows and drawn uniformly in size; how many
of these are no better than a constant answer; and the CPU seconds of the training. Seeds draw texts, steps and points.

Trainings that are done are kept in the file of `--results` and are not repeated.
"""

from __future__ import annotations

import json as json_module
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..evaluation.error import SplitError
from ..evaluation.model_error import constant_error
from ..run.folder import RunFolder, file_digest
from ..run.project import load_supernet, open_task
from ..run.stages.supernet import prepared
from ..search_space import SearchSpace
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.training.settings import SupernetSettings
from ..supernet.training.supernet_training import train_supernet
from ..tasks import Task
from .common import JsonOption, Known, show, some_rows

POINTS = 12
DEFAULT = "the default"
CHANGES: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "all as it was": {"layers": "first", "learning_rate": 5e-5, "strategy": "full"},
    "the first layers": {"layers": "first"},
    "full": {"strategy": "full"},
    "full, rate 5e-5": {"strategy": "full", "learning_rate": 5e-5},
    "rate 5e-5": {"learning_rate": 5e-5},
    "rate 1e-4": {"learning_rate": 1e-4},
    "rate 5e-4": {"learning_rate": 5e-4},
    "temperature 10": {"temperature": 10.0},
    "sandwich": {"strategy": "sandwich"},
    "no labels": {"label_weight": 0.0},
    "sampling as in the paper": {"sampling": "paper"},
    "dropout on all": {"dropout": "all"},
    "units as they are": {"importance": "none"},
}


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    steps: Annotated[int, typer.Option(help="of each training")] = 300,
    rows: Annotated[int, typer.Option(help="training texts, drawn by the seed")] = 4000,
    seeds: Annotated[int, typer.Option(min=1, help="trainings of each row")] = 3,
    batch_size: Annotated[int, typer.Option(help="texts of a step")] = 32,
    only: Annotated[list[str] | None, typer.Option(help="rows wanted; all if not given")] = None,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/supernet_ablation.jsonl"),
    json: JsonOption = False,
) -> None:
    """Train, evaluate, print."""
    folder = RunFolder.open(run)
    task, known = open_task(folder), Known(results)
    basis = f"{task.name} {file_digest(folder.finetuned / 'model.safetensors')} {rows}"
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in only or CHANGES}
    for seed in range(seeds):  # a whole table of fewer seeds, if it is stopped
        some = replace(task, train=some_rows(task.train, rows, seed))
        for name, of_seeds in found.items():
            settings = SupernetSettings.model_validate({"steps": steps, "batch_size": batch_size, **CHANGES[name]})
            key = {"basis": basis, "settings": settings.model_dump_json(), "seed": seed}
            of_seeds.append(known.find(key, partial(_trained, folder, some, settings, seed)))
    if json:
        print(json_module.dumps(found))
    else:
        _show(
            f"{task.name}, {rows} texts, {steps} steps of {batch_size}, {seeds} seeds: score on the report split, %",
            found,
        )


def _trained(folder: RunFolder, task: Task, settings: SupernetSettings, seed: int) -> dict[str, Any]:
    net = load_supernet(folder.finetuned)
    space = prepared(folder, net, task, settings)
    begin = time.process_time()
    train_supernet(net, space, task, settings, seed=seed)
    taken = time.process_time() - begin
    return {"seconds": taken, **_scores(net, space, task, seed)}


def _scores(net: Supernet, space: SearchSpace, task: Task, seed: int) -> dict[str, Any]:
    split = next(iter(task.report.values()))
    dtype = resolve_precision("auto", net.device)
    error = SplitError(net, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)

    def score(x: np.ndarray) -> float:
        mask = space.mask(x)
        return 1 - error.errors(mask, (mask.depth,))[mask.depth]

    depths = [np.array([depth, *space.largest[1:]]) for depth in range(1, net.shape.num_layers + 1)]
    points = space.sample_by_size(POINTS, np.random.default_rng([seed, 8]))
    points = sorted(points, key=lambda x: space.mask(x).encoder_parameters(net.shape))
    scores = [score(x) for x in points]
    least = 1 - constant_error(split, task.metric)
    return {
        "depths": [score(x) for x in depths],
        "smaller": float(np.mean(scores[: POINTS // 2])),
        "larger": float(np.mean(scores[POINTS // 2 :])),
        "constant": sum(score <= least + 1e-9 for score in scores),
    }


def _show(title: str, found: dict[str, list[dict[str, Any]]]) -> None:
    layers = range(len(next(iter(found.values()))[0]["depths"]))
    header = ("layers:", *(str(depth + 1) for depth in layers), "smaller", "larger", f"of {POINTS} constant", "CPU s")
    lines = []
    for name, of_seeds in found.items():
        scores = [[one["depths"][depth] for one in of_seeds] for depth in layers]
        scores += [[one[half] for one in of_seeds] for half in ("smaller", "larger")]
        constant, seconds = (np.mean([one[key] for one in of_seeds]) for key in ("constant", "seconds"))
        lines.append((name, *map(_percent, scores), f"{constant:.1f}", f"{seconds:.0f}"))
    show(title, header, lines)


def _percent(values: list[float]) -> str:
    spread = f"±{100 * np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{100 * np.mean(values):.1f}{spread}"


if __name__ == "__main__":
    typer.run(main)
