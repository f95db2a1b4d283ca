"""The whole model and rungs of a ladder in every runtime: answers, size, latency, throughput; all timed in turn.

    python -m secateur.benchmarks.runtimes RUN [--shares 1/2,1/4,1/10] [--steps 200] [--threads 1] [--tokens 128]
        [--rounds 60] [--json]

RUN is a fine-tuned run; rungs that its ladder lacks are made. Scores are on the report split, *agrees* is the share of
its texts that a model answers as the whole one does in float32 in PyTorch. Latencies are of one text of `--tokens`
tokens, medians and 99th percentiles of single passes, throughput is of batches of 32 such texts, at their median; each
round passes each model once in each runtime. Int8 of OpenVINO finds its scales on 300 training texts. Bfloat16 is left
out where the processor only emulates it.
"""

from __future__ import annotations

import copy
import json as json_module
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ..evaluation.latency import RUNTIMES, LatencyTarget, busy, machine_name
from ..evaluation.latency.runtime import TORCH
from ..evaluation.model_error import file_outputs, model_outputs
from ..evaluation.objectives.disk import MB
from ..run.project import load_supernet, open_task
from ..run.run import Run
from ..run.scores import few_texts
from ..run.settings.ladder import LadderSettings
from ..supernet.shipping.engines import ENGINES
from ..supernet.stored.storage import load_model
from ..tasks import Task
from ..tasks.agreement import agreement
from ..tasks.split import Split
from .common import JsonOption, console, precisions, show

HEADER = (
    "model",
    "runtime",
    "MB",
    "score x 100",
    "agrees, %",
    "p50, ms",
    "p99, ms",
    "times",
    "texts/s",
    "times",
)
_BATCH = 32
"""Texts of a batch whose throughput is measured."""


@dataclass(frozen=True)
class Row:
    """What one model is worth in one runtime."""

    model: str
    runtime: str
    megabytes: float
    score: float
    agrees: float
    p50: float
    p99: float
    texts: float


def main(
    path: Annotated[Path, typer.Argument(metavar="RUN", help="a fine-tuned run")],
    shares: Annotated[str, typer.Option(help="of the encoder that rungs keep")] = "1/2,1/4,1/10",
    steps: Annotated[int, typer.Option(help="of half the encoder")] = LadderSettings().steps,
    threads: Annotated[int, typer.Option(help="of every runtime")] = 1,
    tokens: Annotated[int, typer.Option(help="of a text that is timed")] = 128,
    rounds: Annotated[int, typer.Option(help="passes of each model in each runtime")] = 60,
    json: JsonOption = False,
) -> None:
    """Make the rungs that are missing, score and time all, print the table."""
    run = Run(path)
    rungs = run.ladder(shares=shares, steps=steps)
    task = open_task(run.folder)
    models = {"whole": load_supernet(run.folder.finetuned).model.float()}
    smaller = (load_model(run.folder.ladder / rung.key).float() for rung in rungs)
    models |= dict(zip(shares.split(","), smaller, strict=True))
    ways = [(name, precision) for name in RUNTIMES for precision in _precisions(name)]
    answers = {(name, way): _answers(model, way, task) for name, model in models.items() for way in ways}
    times = _times(models, ways, threads, tokens, rounds)
    rows = []
    held_to = agreement(task.kind)
    answered = [task.kind.answered(values, split) for values, split in answers["whole", ways[0]][0]]
    for name in models:
        for way in ways:
            outputs, megabytes = answers[name, way]
            agrees = np.mean([held_to.score(o, split) for (o, _), split in zip(outputs, answered, strict=True)])
            (one, many), score = times[name, way], 1 - np.mean([task.metric.error(o, s) for o, s in outputs])
            p50, p99 = np.percentile(one * 1e3, [50, 99])
            texts = _BATCH / float(np.median(many))
            rows.append(Row(name, _title(way), megabytes, 100 * float(score), 100 * float(agrees), p50, p99, texts))
    if json:
        print(json_module.dumps([asdict(row) for row in rows]))
        return
    show(f"{run.folder.path}, texts of {tokens} tokens", HEADER, _cells(rows))


def _precisions(runtime: str) -> list[str]:
    return sorted(precisions(), reverse=True) if runtime == TORCH else ["float32"]


def _title(way: tuple[str, str]) -> str:
    runtime, precision = way
    return f"{RUNTIMES[runtime]}, {precision}" if runtime == TORCH else str(RUNTIMES[runtime])


Outputs = list[tuple[NDArray, Split]]


def _answers(model: PreTrainedModel, way: tuple[str, str], task: Task) -> tuple[Outputs, float]:
    """Return a model's outputs on each data set of the report split, and the MB of what is served."""
    (runtime, precision), pad = way, task.pad_token_id
    splits = list(task.report.values())
    engine = RUNTIMES[runtime].engine
    if engine is None:
        dtype = getattr(torch, precision)
        size = sum(p.numel() for p in model.parameters()) * dtype.itemsize / MB
        return [(model_outputs(model, split, pad_token_id=pad, dtype=dtype), split) for split in splits], size
    with TemporaryDirectory() as folder:
        int8 = RUNTIMES[runtime].int8
        path = ENGINES[engine].written(model, Path(folder), int8=int8, texts=few_texts(task))
        size = sum(part.stat().st_size for part in ENGINES[engine].parts(path)) / MB
        file = ENGINES[engine].open(path, threads=1)
        return [(file_outputs(file, split, pad_token_id=pad), split) for split in splits], size


def _times(
    models: dict[str, PreTrainedModel], ways: list[tuple[str, str]], threads: int, tokens: int, rounds: int
) -> dict[tuple[str, tuple[str, str]], list[NDArray[np.float64]]]:
    """Return seconds of passes of one text and of a batch, `(rounds,)` each, all in turn."""
    found = {}
    for batch_size, some in ((1, rounds), (_BATCH, max(3, rounds // 6))):
        samples: dict[tuple[str, tuple[str, str]], list[float]] = {}
        with ExitStack() as stack:
            timers = {}
            for runtime, precision in ways:
                target = LatencyTarget(
                    machine=machine_name(),
                    threads=threads,
                    batch_size=batch_size,
                    sequence_length=tokens,
                    precision=precision,
                    runtime=runtime,
                )
                for name, model in models.items():
                    copied = copy.deepcopy(model) if runtime == TORCH else model
                    timers[name, (runtime, precision)] = stack.enter_context(RUNTIMES[runtime](copied, target))
            for turn in range(some + 1):
                for key, timer in timers.items():
                    timer()  # finds the caches full of another's weights
                    taken = float(timer()[0])
                    if turn:
                        samples.setdefault(key, []).append(taken)
        first = next(iter(samples.values()))
        low, middle, high = np.percentile(first, [25, 50, 75])
        if warning := busy(float((high - low) / middle)):
            console.print(warning)
        for key, seconds in samples.items():
            found.setdefault(key, []).append(np.array(seconds))
    return found


def _cells(rows: list[Row]) -> list[tuple[str, ...]]:
    whole = rows[0]
    return [
        (
            row.model,
            row.runtime,
            f"{row.megabytes:.1f}",
            f"{row.score:.1f}",
            f"{row.agrees:.1f}",
            f"{row.p50:.2f}",
            f"{row.p99:.2f}",
            f"{whole.p50 / row.p50:.1f}",
            f"{row.texts:.0f}",
            f"{row.texts / whole.texts:.1f}",
        )
        for row in rows
    ]


if __name__ == "__main__":
    typer.run(main)
