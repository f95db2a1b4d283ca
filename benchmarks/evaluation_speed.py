"""How much faster a subnetwork is evaluated than the authors' way.

    python -m secateur.benchmarks.evaluation_speed [--data GLUE_FOLDER] [--encoder minilm] [--rounds 7]
        [--state FILE] [--json]

MiniLM, or a ModernBERT as large, on the validation sentences of SST-2 and RTE, points drawn as the paper draws them,
both sides in turn. Seconds are per architecture: in `small` one pass evaluates all depths of a point, 1 to L, and they
share its time; in `medium` the one architecture that was asked for pays for the whole pass; `medium_depths` counts
those cut off after each layer too, which are points of `medium` as well and enter the archive.

Ours first evaluates points that are not timed: in bfloat16 oneDNN compiles a kernel for each shape it meets, once in a
search of hundreds of evaluations. Where the processor does not multiply in bfloat16, float32 alone is timed.

What is done is kept in the file of `--state` until all is; interrupted, the same command goes on.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ..evaluation.error import SplitError
from ..evaluation.latency import machine_name
from ..search_space import SPACES
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..tasks import Task
from .authors import MaskedModel
from .common import (
    DataOption,
    EncoderOption,
    JsonOption,
    Known,
    in_turn,
    open_supernet,
    open_task,
    precisions,
    ratio,
    show,
    show_json,
)


def main(
    data: DataOption = None,
    encoder: EncoderOption = "minilm",
    rounds: Annotated[int, typer.Option(help="architectures per space and task")] = 7,
    warmup: Annotated[int, typer.Option(help="architectures before them, of ours")] = 16,
    baseline_batch: Annotated[int, typer.Option(help="the baseline's batch size; the authors' is 8")] = 8,
    state: Annotated[Path, typer.Option(help="keeps what is done until all is")] = Path("runs/evaluation_speed.jsonl"),
    json: JsonOption = False,
) -> None:
    """Time both ways and print the ratios."""
    values: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    kinds, known = precisions(), Known(state)
    basis = {"machine": machine_name(), "threads": torch.get_num_threads(), "precisions": ",".join(kinds)}
    basis |= {
        "benchmark": "evaluation_speed",
        "rounds": rounds,
        "warmup": warmup,
        "baseline_batch": baseline_batch,
        "encoder": encoder,
    }
    for task_name, prefix in (("sst2", ""), ("rte", "rte_")):
        task = open_task(task_name, data)
        supernet = open_supernet(task, encoder)
        for space in ("small", "medium"):

            def timed(task: Task = task, supernet: Supernet = supernet, space: str = space) -> list[list[float]]:
                ways = _ways(supernet, task, space, rounds + 1 + warmup, baseline_batch, kinds)
                return in_turn(ways, rounds, f"{task.name} {space}", [0, *(warmup for _ in kinds)])

            baseline, *ours = known.find({**basis, "task": task_name, "space": space}, timed)
            for precision, times in zip(kinds, ours, strict=True):
                layers, suffix = supernet.shape.num_layers, "" if precision == "bfloat16" else f"_{precision}"
                for kind, shared in {"small": {"": layers}, "medium": {"": 1, "_depths": layers}}[space].items():
                    per_architecture = [t / shared for t in times]
                    low, middle, high = ratio(baseline, per_architecture)
                    values[f"{prefix}{space}{kind}{suffix}"] = middle
                    rows.append(
                        (
                            f"{task_name} {space}{kind.replace('_', ', ')} {precision}",
                            f"{statistics.median(baseline):.2f}",
                            f"{statistics.median(per_architecture):.4f}",
                            f"{middle:.1f}x ({low:.1f}-{high:.1f})",
                        )
                    )
    if json:
        show_json(values)
    else:
        show(
            f"seconds per architecture, {rounds} in turn, baseline batch {baseline_batch}",
            ("", "authors' way", "Secateur", "ratio (min-max)"),
            rows,
        )
    known.forget()


def _ways(
    supernet: Supernet, task: Task, space_name: str, points: int, baseline_batch: int, kinds: list[str]
) -> list[Callable[[int], object]]:
    """Return the baseline and ours by precision, each a function of the number of a point."""
    split = next(iter(task.report.values()))
    space = SPACES[space_name](supernet.shape)
    layers = supernet.shape.num_layers
    xs = space.sample(points, np.random.default_rng(0))
    asked = [space.mask(x) for x in xs]
    if space_name == "small":
        xs[:, 0] = layers  # the pass of the deepest point of these heads and neurons gives the others
    run = [space.mask(x) for x in xs]
    authors = MaskedModel(supernet)

    def baseline(turn: int) -> object:
        return authors.logits(asked[turn], split, batch_size=baseline_batch, pad_token_id=task.pad_token_id)

    def ours(errors: SplitError) -> Callable[[int], object]:
        return lambda turn: errors.errors(run[turn], range(1, layers + 1))

    dtypes = [resolve_precision(kind, supernet.device) for kind in kinds]
    errors = [SplitError(supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=one) for one in dtypes]
    return [baseline, *map(ours, errors)]


if __name__ == "__main__":
    typer.run(main)
