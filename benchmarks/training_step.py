"""How much faster a step of the `full` strategy is than the authors' way, and what it costs beside a plain one.

    python -m secateur.benchmarks.training_step [--data GLUE_FOLDER] [--encoder minilm] [--rounds 8]
        [--state FILE] [--json]

MiniLM, or a ModernBERT as large, batches of 32 training texts of SST-2 and RTE, k = 2, points drawn uniformly in size,
both sides on the same masks and texts in turn. The baseline multiplies masks, pads to 128 tokens, computes in float32
and takes the default AdamW. `over_plain_step` compares with a plain fine-tuning step on the same texts as a user of
transformers has it: the model's own forward in bfloat16 autocast, padded to the longest of the batch, gradients clipped
at 1 (the Trainer's default), the fused AdamW. `over_standard_step` compares with a `standard` step of our own loop,
which is faster.

What computes in bfloat16 first takes steps that are not timed: oneDNN compiles a kernel for each shape it meets, once
in a training of thousands of steps. In float32 nothing is compiled. Where the processor does not multiply in bfloat16,
`full_float32` alone is timed. What is done is kept in the file of `--state` until all is; interrupted, the same command
goes on.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from ..evaluation.latency import machine_name
from ..search_space import Small
from ..supernet import Supernet
from ..supernet.training.settings import SupernetSettings
from ..supernet.training.strategies import STRATEGIES, Step
from ..supernet.training.supernet_training import TrainingLoop, batch_rows
from ..tasks import Task
from ..tasks.batches import collate
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

BATCH = 32


def main(
    data: DataOption = None,
    encoder: EncoderOption = "minilm",
    rounds: Annotated[int, typer.Option(help="steps of each kind and task")] = 8,
    warmup: Annotated[int, typer.Option(help="steps before them, of those in bfloat16")] = 60,
    state: Annotated[Path, typer.Option(help="keeps what is done until all is")] = Path("runs/training_step.jsonl"),
    json: JsonOption = False,
) -> None:
    """Time the steps and print the ratios."""
    values: dict[str, float] = {}
    rows: list[tuple[str, ...]] = []
    fast, known = "bfloat16" in precisions(), Known(state)
    basis = {"machine": machine_name(), "threads": torch.get_num_threads(), "benchmark": "training_step"}
    basis |= {"precisions": ",".join(precisions()), "rounds": rounds, "warmup": warmup, "encoder": encoder}
    for task_name, prefix in (("sst2", ""), ("rte", "rte_")):
        task = open_task(task_name, data)
        kinds = ["authors", *(["full", "plain", "standard"] if fast else []), "full_float32"]

        def timed(task: Task = task, kinds: list[str] = kinds) -> list[list[float]]:
            makers: dict[str, Callable[[Supernet], Callable[[int], object]]] = {
                "authors": lambda supernet: _authors_step(supernet, task),
                "full": lambda supernet: _our_step(supernet, task, "full", "bfloat16"),
                "full_float32": lambda supernet: _our_step(supernet, task, "full", "float32"),
                "plain": lambda supernet: _plain_step(supernet, task),
                "standard": lambda supernet: _our_step(supernet, task, "standard", "bfloat16"),
            }
            before = [0 if kind in ("authors", "full_float32") else warmup for kind in kinds]
            return in_turn([makers[kind](open_supernet(task, encoder)) for kind in kinds], rounds, task.name, before)

        times = dict(zip(kinds, known.find({**basis, "task": task_name}, timed), strict=True))
        for slow, quick, name in (
            ("authors", "full", "full"),
            ("authors", "full_float32", "full_float32"),
            ("full", "plain", "over_plain_step"),
            ("full", "standard", "over_standard_step"),
        ):
            if not times.keys() >= {slow, quick}:
                continue
            low, middle, high = ratio(times[slow], times[quick])
            values[prefix + name] = middle
            seconds = [f"{statistics.median(times[kind]) * 1e3:.0f}" for kind in (slow, quick)]
            rows.append((f"{task_name}: {slow} / {quick}", *seconds, f"{middle:.2f} ({low:.2f}-{high:.2f})"))
    if json:
        show_json(values)
    else:
        show(f"milliseconds per step, {rounds} in turn", ("", "first", "second", "ratio (min-max)"), rows)
    known.forget()


def _rows(task: Task) -> Callable[[int], np.ndarray]:
    order = dict(batch_rows(task, BATCH, 0, 0, 200))
    return lambda turn: order[turn]


def _authors_step(supernet: Supernet, task: Task) -> Callable[[int], object]:
    authors, rows, space = MaskedModel(supernet), _rows(task), Small(supernet.shape)
    optimizer = torch.optim.AdamW(authors.model.parameters(), lr=2e-5)

    def step(turn: int) -> None:
        passes = STRATEGIES["full"](
            Step(turn, 200, space, space.sample_by_size, np.random.default_rng([0, 1, turn]), 2)
        )
        authors.full_step([one.mask for one in passes[1:]], collate(task.train, rows(turn), task.pad_token_id), 0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def _our_step(supernet: Supernet, task: Task, strategy: str, precision: str) -> Callable[[int], object]:
    settings = SupernetSettings.model_validate({"strategy": strategy, "precision": precision})
    loop = TrainingLoop(supernet, Small(supernet.shape), task, settings, seed=0)
    rows = _rows(task)
    return lambda turn: loop.step(turn, rows(turn))


def _plain_step(supernet: Supernet, task: Task) -> Callable[[int], object]:
    model, rows = supernet.model.train(), _rows(task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=True)

    def step(turn: int) -> None:
        batch = collate(task.train, rows(turn), task.pad_token_id)
        mask = batch.attention_mask if batch.attention_mask is not None else torch.ones_like(batch.input_ids)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(input_ids=batch.input_ids, attention_mask=mask, labels=batch.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    typer.run(main)
