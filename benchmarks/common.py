"""What the benchmarks share: the model, the tasks, timing in turn."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from ..evaluation.latency import machine_name
from ..supernet import Supernet
from ..supernet.stored.storage import load_model, load_tokenizer
from ..tasks import Task, demo_model_folder, load_task
from ..tasks.split import Split

DataOption = Annotated[Path | None, typer.Option(help="folder of GLUE's parquet files; the hub if not given")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]

console = Console(width=120, highlight=False)


def open_task(name: str, data: Path | None) -> Task:
    """Load a GLUE task, tokenised for MiniLM, from a folder of parquet files or the hub."""
    return load_task(name, load_tokenizer(demo_model_folder()), seed=0, max_length=512, data=data)


def open_supernet(task: Task) -> Supernet:
    """Load MiniLM with a new head: timings do not depend on what it has learnt."""
    torch.manual_seed(0)
    return Supernet(load_model(demo_model_folder(), label_names=task.label_names).float())


def some_rows(split: Split, rows: int, seed: int) -> Split:
    """Draw texts of a split without replacement; all of them, in another order, if it has fewer."""
    return split.take(np.random.default_rng(seed).permutation(len(split))[:rows])


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def in_turn(functions: Sequence[Callable[[int], object]], rounds: int) -> list[list[float]]:
    """Call the functions in turn with the round's number, A B A B ..., after one round that does not count.

    Returns:
        Seconds, one list of `rounds` per function.
    """
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(rounds + 1):
        for function, found in zip(functions, times, strict=True):
            found.append(seconds(lambda function=function, turn=turn: function(turn)))
    return [found[1:] for found in times]


def ratio(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """Return minimum, median and maximum of the ratio, round by round: it holds while the machine's speed drifts."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return min(ratios), statistics.median(ratios), max(ratios)


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, and the machine it belongs to."""
    table = Table(title=f"{title}\n{machine_name()}, {torch.get_num_threads()} threads", title_justify="left")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if not index else "right")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def show_json(values: dict[str, float]) -> None:
    """Print one JSON object."""
    print(json.dumps({name: round(value, 3) for name, value in values.items()}))
