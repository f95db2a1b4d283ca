"""How much faster a subnetwork is evaluated than the authors' way.

    python -m secateur.benchmarks.evaluation_speed [--data GLUE_FOLDER] [--rounds 7] [--json]

MiniLM on the validation sentences of SST-2 and RTE, points drawn uniformly in size, both sides in turn. Seconds are per
architecture: in `small` one pass evaluates all depths of a point, 1 to L, and they share its time; in `medium` the one
architecture that was asked for pays for the whole pass.
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
from ..search_space import SPACES, SubnetMask
from ..supernet import Supernet
from ..tasks import Task
from .authors import MaskedModel
from .common import in_turn, open_supernet, open_task, ratio, show, show_json

PRECISIONS = {"": torch.bfloat16, "_float32": torch.float32}


def main(
    data: Annotated[Path | None, typer.Option(help="folder of GLUE's parquet files; the hub if not given")] = None,
    rounds: Annotated[int, typer.Option(help="architectures per space and task")] = 7,
    baseline_batch: Annotated[int, typer.Option(help="the baseline's batch size; the authors' is 8")] = 8,
    json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
) -> None:
    """Time both ways and print the ratios."""
    values: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    for task_name, prefix in (("sst2", ""), ("rte", "rte_")):
        task = open_task(task_name, data)
        supernet = open_supernet(task)
        for space in ("small", "medium"):
            functions, shared = _ways(supernet, task, space, rounds, baseline_batch)
            baseline, *ours = in_turn(functions, rounds)
            for suffix, times in zip(PRECISIONS, ours, strict=True):
                per_architecture = [t / shared for t in times]
                low, middle, high = ratio(baseline, per_architecture)
                values[f"{prefix}{space}{suffix}"] = middle
                rows.append(
                    (
                        f"{task_name} {space} {'float32' if suffix else 'bfloat16'}",
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


def _ways(
    supernet: Supernet, task: Task, space_name: str, rounds: int, baseline_batch: int
) -> tuple[list[Callable[[int], object]], int]:
    """Return the baseline and ours by precision, each a function of the round, and how many share one of our passes."""
    split = next(iter(task.report.values()))
    space = SPACES[space_name](supernet.shape)
    layers = supernet.shape.num_layers
    xs = space.sample_by_size(rounds + 1, np.random.default_rng(0))
    asked = [space.mask(x) for x in xs]
    if space_name == "small":
        xs[:, 0] = layers  # the pass of the deepest point of these heads and neurons gives the others
        run, depths = [space.mask(x) for x in xs], tuple(range(1, layers + 1))
    else:
        run, depths = asked, (layers,)
    authors = MaskedModel(supernet)

    def baseline(turn: int) -> object:
        return authors.logits(asked[turn], split, batch_size=baseline_batch, pad_token_id=task.pad_token_id)

    def ours(errors: SplitError, masks: list[SubnetMask]) -> Callable[[int], object]:
        return lambda turn: errors.errors(masks[turn], depths)

    fast = [
        SplitError(supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)
        for dtype in PRECISIONS.values()
    ]
    return [baseline, *(ours(errors, run) for errors in fast)], len(depths)


if __name__ == "__main__":
    typer.run(main)
