"""What the benchmarks share: the model, the tasks, timing in turn."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table
from transformers.models.modernbert import ModernBertConfig, ModernBertForSequenceClassification

from ..cli.console import progress
from ..errors import unknown_name
from ..evaluation.latency import machine_name
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.stored.storage import load_config, load_model, load_tokenizer
from ..tasks import Task, demo_model_folder, load_task
from ..tasks.split import Split

DataOption = Annotated[Path | None, typer.Option(help="folder of GLUE's parquet files; the hub if not given")]
EncoderOption = Annotated[str, typer.Option(help="minilm, or modernbert: as large, with random weights")]
JsonOption = Annotated[bool, typer.Option("--json", help="print one JSON object")]

console = Console(width=120, highlight=False)


def open_task(name: str, data: Path | None) -> Task:
    """Load a GLUE task, tokenised for MiniLM, from a folder of parquet files or the hub."""
    return load_task(name, load_tokenizer(demo_model_folder()), seed=0, max_length=512, data=data)


def open_supernet(task: Task, encoder: str = "minilm") -> Supernet:
    """Return a model with a new head: timings do not depend on what it has learnt.

    Args:
        task: whose classes.
        encoder: `minilm`, or `modernbert`: one with random weights, as many layers, heads and parameters in each block.

    Raises:
        InputError: another one.
    """
    torch.manual_seed(0)
    if encoder == "minilm":
        return Supernet(load_model(demo_model_folder(), label_names=task.label_names).float())
    if encoder != "modernbert":
        raise unknown_name("encoder", encoder, ("minilm", "modernbert"))
    minilm = load_config(demo_model_folder())
    sizes = {name: getattr(minilm, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    ids = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0)
    config = ModernBertConfig(
        **sizes,
        **ids,
        vocab_size=minilm.vocab_size,
        intermediate_size=minilm.intermediate_size * 2 // 3,  # a gated neuron has three maps
    )
    config.num_labels = len(task.label_names)
    return Supernet(ModernBertForSequenceClassification(config))


def some_rows(split: Split, rows: int, seed: int) -> Split:
    """Draw texts of a split without replacement; all of them, in another order, if it has fewer."""
    return split.take(np.random.default_rng(seed).permutation(len(split))[:rows])


def precisions() -> list[str]:
    """Return the precisions worth timing on this processor: emulated, bfloat16 takes minutes for what seconds do."""
    fast = resolve_precision("auto", torch.device("cpu")) == torch.bfloat16
    return ["bfloat16", "float32"] if fast else ["float32"]


class Known:
    """What was found before, one JSON line each: a benchmark that was killed goes on where it was.

    Args:
        path: the file, made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith("\n"):  # a kill cut it off
            path.write_text("".join(lines := lines[:-1]))
        rows = [json.loads(line) for line in lines]
        self._values = {_name({name: row[name] for name in row if name != "value"}): row["value"] for row in rows}

    def find(self, key: Mapping[str, str | float], make: Callable[[], Any]) -> Any:
        """Return what is known; what is not is made and written down, as JSON has it.

        Args:
            key: all that it depends on, by names other than `value`.
            make: makes it.
        """
        name = _name(key)
        if name not in self._values:
            self._values[name] = value = make()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                file.write(json.dumps({**key, "value": value}) + "\n")
        return self._values[name]

    def forget(self) -> None:
        """Remove the file: times are to be taken anew, by code that may have changed."""
        self._path.unlink(missing_ok=True)


def _name(key: Mapping[str, str | float]) -> str:
    return json.dumps(key, sort_keys=True)


def seconds(function: Callable[[], object]) -> float:
    """Time one call."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def in_turn(
    functions: Sequence[Callable[[int], object]], rounds: int, title: str, warmup: Sequence[int] = ()
) -> list[list[float]]:
    """Call the functions in turn with the round's number, A B A B ..., after one round that does not count.

    Args:
        functions: what is timed.
        rounds: of timing.
        title: what is said to be done.
        warmup: of each function, calls before all that, which get the numbers after the rounds'.

    Returns:
        Seconds, one list of `rounds` per function.
    """
    times: list[list[float]] = [[] for _ in functions]
    calls = [(i, rounds + 1 + turn) for i, count in enumerate(warmup) for turn in range(count)]
    untimed = len(calls) + len(functions)
    calls += [(i, turn) for turn in range(rounds + 1) for i in range(len(functions))]
    with progress(title) as tick:
        for done, (i, turn) in enumerate(calls):
            taken = seconds(lambda i=i, turn=turn: functions[i](turn))
            if done >= untimed:
                times[i].append(taken)
            tick(done + 1, len(calls))
    return times


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
