"""Whether what `pick` answers keeps its budget: each answer is measured afresh in a new process.

    python -m secateur.benchmarks.pick_budget RUN [--shares 0.25,0.5,0.75] [--repeats 10] [--json]

RUN is a searched run. The budgets are shares of the whole network's latency, which is measured first, in a new process
too. An answer keeps its budget if its median is at most 5 % above it.
"""

from __future__ import annotations

import json as to_json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..evaluation.archive import Archive
from ..evaluation.latency.measure import measure
from ..run.folder import RunFolder
from ..run.latency import latency_table_here
from ..run.model import open_subnet
from ..run.project import open_supernet
from ..search_space import SubnetMask
from .common import JsonOption, show

_TOLERANCE = 1.05


def main(
    run: Path,
    shares: Annotated[str, typer.Option(help="of the whole network's latency, separated by commas")] = "0.25,0.5,0.75",
    repeats: Annotated[int, typer.Option(help="how often each is asked")] = 10,
    measure_key: Annotated[str | None, typer.Option(hidden=True, help="print this subnetwork's latency")] = None,
    json: JsonOption = False,
) -> None:
    """Ask, measure, count."""
    if measure_key is not None:
        print(_latency(run, measure_key))
        return
    whole = _afresh(run, _whole_key(run))
    rows, found = [], {"whole_ms": whole, "shares": {}}
    for share in map(float, shares.split(",")):
        budget = share * whole
        answers = [_answer(run, budget) for _ in range(repeats)]
        kept = sum(ms <= _TOLERANCE * budget for _, _, ms in answers)
        found["shares"][f"{share:g}"] = {"budget_ms": budget, "kept": kept, "repeats": repeats, "answers": answers}
        rows += [
            (f"{share:g}", f"{budget:.2f}", key, f"{said:.2f}", f"{ms:.2f}", f"{ms / budget - 1:+.1%}")
            for key, said, ms in answers
        ]
        rows.append((f"{share:g}", f"{budget:.2f}", f"kept within 5 %: {kept} of {repeats}", "", "", ""))
    if json:
        print(to_json.dumps(found))
        return
    header = ("share", "budget ms", "answer", "pick's ms", "afresh ms", "over")
    show(f"{run}: budgets of the whole network's {whole:.2f} ms", header, rows)


def _answer(run: Path, budget: float) -> tuple[str, float, float]:
    """Return the key that `pick` answers, the latency it says, and the one measured afresh."""
    said = to_json.loads(_output("secateur", "pick", str(run), "--latency-ms", str(budget), "--json"))["chosen"]
    return said["key"], said["latency_ms"], _afresh(run, said["key"])


def _afresh(run: Path, key: str) -> float:
    return float(_output("secateur.benchmarks.pick_budget", str(run), "--measure-key", key).split()[-1])


def _output(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _latency(run: Path, key: str) -> float:
    """Measure a subnetwork alone, as `front` reports it."""
    folder = RunFolder.open(run)
    supernet, _ = open_supernet(folder)
    with Archive(folder.archive) as archive:
        evaluation = archive.lookup(key, "selection")
    assert evaluation is not None
    return measure(open_subnet(folder, supernet, evaluation), latency_table_here(folder).target, repeats=60).median


def _whole_key(run: Path) -> str:
    supernet, _ = open_supernet(RunFolder.open(run))
    return SubnetMask.full(supernet.shape).key


if __name__ == "__main__":
    typer.run(main)
