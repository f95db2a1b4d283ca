"""A search that loses each of its Dask workers once finds what a search without workers finds.

    python -m secateur.tests.stress.workers --count 4 --seed 0 [--place /tmp/secateur-stress]

`--count` is the number of workers. Each is killed once, at a random moment, before the search ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import typer
from secateur.tests.cli.conftest import archive_rows, asked

from .common import Summary, call, finished_run


def main(
    count: Annotated[int, typer.Option(help="workers")] = 4,
    seed: Annotated[int, typer.Option(help="of the moments")] = 0,
    budget: Annotated[int, typer.Option(help="points of the search; 0: 60 for each worker")] = 0,
    place: Annotated[Path, typer.Option(help="where the runs are")] = Path("/tmp/secateur-stress"),
) -> None:
    """Search twice, once with losses."""
    place.mkdir(parents=True, exist_ok=True)
    budget = budget or 60 * count
    _, finished = finished_run(place)
    runs = {name: place / f"workers-{name}" for name in ("alone", "losing")}
    for run in runs.values():
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(finished, run, ignore=shutil.ignore_patterns("archive.db", "answers.json"))
    options = ["--search-searcher", "random", "--search-precision", "float32", "--search-budget", str(budget)]
    alone = call(["search", runs["alone"], *options])
    summary = Summary("workers", count)
    if alone.code:
        summary.add("searches", f"without workers: {alone.err[-500:]}")
        raise typer.Exit(summary.close())
    command = [sys.executable, "-m", "secateur", "search", str(runs["losing"]), *options, "--workers", str(count)]
    lost = kill_each_once(command, runs["losing"], count, budget, np.random.default_rng(seed))
    for _ in range(lost):
        summary.add("workers lost")
    rows = [sorted(archive_rows(run, "selection"), key=repr) for run in runs.values()]
    same = [{row[0]: row[7:] for row in found} for found in rows]
    summary.add("searches", None if lost == count else f"only {lost} of {count} workers were there to be lost")
    summary.add("comparisons", None if same[0] == same[1] else "the search with losses found something else")
    raise typer.Exit(summary.close())


def kill_each_once(command: list[str], run: Path, count: int, budget: int, rng: np.random.Generator) -> int:
    """Run a search, kill as many workers as it began with, one after the other; return how many were killed."""
    search = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    killed: set[int] = set()
    moments = np.sort(rng.integers(1, max(2, int(budget * 0.8)), count))
    while search.poll() is None and len(killed) < count:
        if asked(run) >= moments[len(killed)]:
            children = psutil.Process(search.pid).children(recursive=True)
            workers = [one.pid for one in children if "spawn_main" in " ".join(one.cmdline()) and not one.children()]
            new = [pid for pid in workers if pid not in killed]
            if new:
                victim = int(rng.choice(new))
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)
        time.sleep(0.02)
    search.wait(timeout=1200)
    return len(killed)


if __name__ == "__main__":
    sys.exit(typer.run(main))
