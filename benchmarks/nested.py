"""What loading a model out of a nested checkpoint costs, beside loading a checkpoint of its own.

    python -m secateur.benchmarks.nested RUN [--rounds 3] [--budgets 3] [--refit] [--json]

The front of a run is nested. For some budgets of latency, from the largest to the smallest of the front, the best model
within each is loaded from there, from a checkpoint that `extract` wrote, and from there as ONNX Runtime's int8:
seconds, and how much the peak of resident memory rises, in a process of its own that has torch and transformers
already; medians over rounds, all sides in turn, all files in the system's cache. Then the size of the folder, beside
the sum of the checkpoints of all its models.
"""

from __future__ import annotations

import json as to_json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..cli.console import progress
from ..evaluation.latency import machine_name
from ..evaluation.objectives.disk import MB
from ..run.choice.nested import chosen_of
from ..run.run import Run
from ..supernet.stored.nested import NestedModel
from .common import JsonOption, show

_PROGRAM = """
import json, sys, time
import secateur.evaluation.choice, secateur.supernet.stored.nested, transformers.models.bert.modeling_bert
from secateur import load
from secateur.evaluation.served_process import peak_megabytes
from secateur.supernet.stored.storage import load_model
before, begin = peak_megabytes(), time.perf_counter()
folder, *named = sys.argv[1:]
model = load(folder, **dict(zip(("key", "runtime"), named))) if named else load_model(folder)
print(json.dumps([time.perf_counter() - begin, peak_megabytes() - before]))
"""


def main(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    rounds: Annotated[int, typer.Option(help="how often each is loaded")] = 3,
    budgets: Annotated[int, typer.Option(help="how many")] = 3,
    refit: Annotated[bool, typer.Option("--refit", help="with refitted outgoing maps")] = False,
    json: JsonOption = False,
) -> None:
    """Nest, extract, load in turn, print."""
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        done = Run(run).nest(place / "family", refit=refit)
        models = done.nested.models
        for one in models:
            Run(run).extract(_own(place, one), key=one.key, weights=one.weights, refit=refit)
        times = sorted({one.values["latency_ms"] for one in models}, reverse=True)
        limits = sorted(
            {times[round(i * (len(times) - 1) / max(1, budgets - 1))] for i in range(budgets)}, reverse=True
        )
        chosen = [chosen_of(done.nested, None, {"latency_ms": limit}) for limit in limits]
        found: list[dict[str, list[list[float]]]] = [{"": [], "_own": [], "_int8": []} for _ in chosen]
        with progress("nested") as tick:
            for turn in range(rounds + 1):
                for one, sides in zip(chosen, found, strict=True):
                    for side, times in sides.items():
                        told = (_own(place, one),) if side == "_own" else (place / "family", one.key)
                        took = _loaded(*told, *(["onnxruntime-int8"] if side == "_int8" else []))
                        times += [took] if turn else []  # the first round fills the caches
                tick(turn + 1, rounds + 1)
        apart = sum(_size(_own(place, one)) for one in models)
        size = done.nested.size
    rows = [
        {
            "latency_ms": limit,
            "key": one.key,
            "parameters": one.values["parameters"],
        }
        | {f"seconds{side}": _median(times, 0) for side, times in sides.items()}
        | {f"peak_mb{side}": _median(times, 1) for side, times in sides.items()}
        for limit, one, sides in zip(limits, chosen, found, strict=True)
    ]
    if json:
        sizes = {"models": len(models), "mb": size / MB, "mb_apart": apart / MB}
        print(to_json.dumps({"machine": machine_name(), **sizes, "rows": rows}))
        return
    heads = ("budget, ms", "key", "parameters", "load, s", "by itself", "in int8", "memory, MB", "by itself", "in int8")
    cells = [
        (
            f"{row['latency_ms']:.1f}",
            str(row["key"]),
            f"{row['parameters'] / 1e6:.1f} M",
            *(f"{row[f'seconds{side}']:.2f}" for side in ("", "_own", "_int8")),
            *(f"{row[f'peak_mb{side}']:.0f}" for side in ("", "_own", "_int8")),
        )
        for row in rows
    ]
    total = f"{len(models)} models of {done.whole} in {size / MB:.1f} MB, {apart / MB:.1f} MB each by itself"
    show(f"{run}: {total}", heads, cells)


def _own(place: Path, one: NestedModel) -> Path:
    return place / f"{one.key}-{one.weights}"


def _loaded(*arguments: object) -> list[float]:
    """Return the seconds that loading takes, and by how many MB the peak rises, in a process of its own."""
    command = [sys.executable, "-c", _PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return to_json.loads(done.stdout.splitlines()[-1])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _median(found: list[list[float]], column: int) -> float:
    return statistics.median(row[column] for row in found)


if __name__ == "__main__":
    typer.run(main)
