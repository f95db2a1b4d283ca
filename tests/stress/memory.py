"""Evaluations in one process: memory is flat after the first thousand.

    python -m secateur.tests.stress.memory --count 20000 --seed 0

Masks of all spaces and widths are evaluated on a tiny task as a search does it, prefixes kept as by default. The line
says what the process holds after the first thousand and at the end; more than `--growth` MB in between is wrong.
"""

from __future__ import annotations

import gc
import sys
from typing import Annotated

import numpy as np
import psutil
import torch
import typer
from secateur.evaluation.error import SplitError
from secateur.evaluation.evaluator import Evaluator
from secateur.search_space import SPACES, SubnetMask
from secateur.supernet import Supernet
from secateur.tasks.metrics import METRICS
from secateur.tasks.split import Split
from secateur.tests.tiny import tiny_model

from .common import Summary
from .masks import SHAPE

WARM = 1000


def main(
    count: Annotated[int, typer.Option(help="evaluations")] = 20_000,
    seed: Annotated[int, typer.Option(help="of the masks")] = 0,
    growth: Annotated[float, typer.Option(help="MB that memory may grow by after the first thousand")] = 50.0,
    warm: Annotated[int, typer.Option(help="evaluations after which memory is to be flat")] = WARM,
) -> None:
    """Evaluate and watch the memory."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    texts = [rng.integers(4, 40, rng.integers(2, 21)).astype(np.int32) for _ in range(32)]
    split = Split(texts, None, rng.integers(0, 3, 32))
    net = Supernet(tiny_model("bert"))
    errors = {"selection": SplitError(net, split, METRICS["accuracy"], pad_token_id=0)}
    evaluator, spaces = Evaluator(errors, []), list(SPACES)
    summary, process, before, evaluated = Summary("memory", count), psutil.Process(), 0, 0
    while evaluated < count:
        space = SPACES[spaces[int(rng.integers(len(spaces)))]](SHAPE, elastic_hidden=bool(rng.integers(2)))
        mask: SubnetMask = space.mask(space.sample(1, rng)[0])
        run = evaluator.plan(mask)
        if run is None:  # met before: some spaces of a tiny network are small
            continue
        found = evaluator.take(run, evaluator.run(run))
        evaluated += 1
        summary.add("evaluations", None if found else f"{mask.key} gave nothing")
        if evaluated == min(warm, count):
            gc.collect()
            before = process.memory_info().rss
    gc.collect()
    after = process.memory_info().rss
    grown = (after - before) / 1e6
    if grown > growth:
        summary.add("growth", f"memory grew by {grown:.0f} MB after the first {warm}")
    raise typer.Exit(
        summary.close(f"{before / 1e6:.0f} MB after the first {min(warm, count)}, {after / 1e6:.0f} MB in the end")
    )


if __name__ == "__main__":
    sys.exit(typer.run(main))
