"""How fast the rungs of a ladder are that was asked for milliseconds, measured in turn with the whole model.

    python -m secateur.benchmarks.ladder_latency RUN [RUN ...] [--faster 2,4,6,8,12] [--steps 200] [--rounds 8] [--json]

Each RUN is a fine-tuned run, of the same task with another seed; rungs are added to its ladder. Each may take the whole
model's latency, as the run's table has it (float32, one text of 128 tokens, unless the run was searched for another
target), divided by a number of `--faster`. Scores are on the report split, speeds are medians of a model timed in turn
with the whole one; both are means over the runs, with the least and the most.
"""

from __future__ import annotations

import json as json_module
import statistics
from pathlib import Path
from typing import Annotated, Any

import typer

from ..evaluation.latency.measure import Bench
from ..evaluation.latency.target import busy
from ..evaluation.objectives import OBJECTIVES
from ..run.model import whole_evaluation
from ..run.project import load_supernet
from ..run.run import Run
from ..run.settings.ladder import LadderSettings
from ..search_space import SubnetMask
from ..supernet.stored.storage import load_model
from .common import JsonOption, console, show


def main(
    runs: Annotated[list[Path], typer.Argument(help="fine-tuned runs, a seed each")],
    faster: Annotated[str, typer.Option(help="how many times faster than the whole model")] = "2,4,6,8,12",
    steps: Annotated[int, typer.Option(help="of half the encoder")] = LadderSettings().steps,
    rounds: Annotated[int, typer.Option(help="turns of each model")] = 8,
    json: JsonOption = False,
) -> None:
    """Make the rungs that are missing, time all, print the table."""
    wanted = [float(times) for times in faster.split(",")]
    found = [_rungs(Run(path), wanted, steps, rounds) for path in runs]
    if json:
        print(json_module.dumps(found))
        return
    rows = []
    for times, *same in zip(wanted, *found, strict=True):
        kept = statistics.mean(one["encoder"] for one in same)
        columns = (_mean([one[name] for one in same]) for name in ("speed", "score", "of_whole"))
        rows.append((f"{times:g}", f"{kept:.1%}", *columns))
    show(f"{len(runs)} runs, whole {_mean([of[0]['whole'] for of in found])}", HEADER, rows)


HEADER = ("faster, asked", "encoder kept", "measured", "score x 100", "of the whole, %")


def _rungs(run: Run, wanted: list[float], steps: int, rounds: int) -> list[dict[str, Any]]:
    supernet, table = load_supernet(run.folder.finetuned), run.latency()
    ms = OBJECTIVES["latency_ms"](supernet, table).of(SubnetMask.full(supernet.shape))
    rungs = run.ladder(latency_ms=",".join(f"{ms / times:.4f}" for times in wanted), steps=steps)
    with run.archive() as archive:
        whole = whole_evaluation(archive, SubnetMask.full(supernet.shape).key, "report", "ladder")
    assert whole is not None
    score = 1 - whole.values["error"]
    bench = Bench(supernet.model, table.target)
    models = [load_model(run.folder.ladder / rung.key) for rung in rungs]
    places = bench.add(*models, seconds=float("inf"), rounds=rounds)
    if warning := busy(bench.spread):
        console.print(warning)
    return [
        {
            "faster": times,
            "key": rung.key,
            "encoder": (rung.encoder_parameters or 0) / supernet.shape.encoder_parameters,
            "speed": bench.reference / bench.latency(place).median,
            "score": 100 * (1 - (rung.error_report or 0.0)),
            "of_whole": 100 * (1 - (rung.error_report or 0.0)) / score,
            "whole": 100 * score,
        }
        for times, rung, place in zip(wanted, rungs, places, strict=True)
    ]


def _mean(values: list[float]) -> str:
    between = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{between}"


if __name__ == "__main__":
    typer.run(main)
