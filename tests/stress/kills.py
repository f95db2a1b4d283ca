"""Commands that write, killed at random moments: resumed = uninterrupted.

    python -m secateur.tests.stress.kills --count 500 --seed 0 [--place /tmp/secateur-stress]

`--count` is how many SIGKILLs there are at least. Each round takes one command of every stage, searcher, pruner and way
to ship, kills it up to `--times` times at moments of its own length, lets it end, and compares all models and rows with
those of the same command uninterrupted. `--first N` leaves the rounds before out.
"""

from __future__ import annotations

import hashlib
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from secateur.pruners import PRUNERS
from secateur.searchers import SEARCHERS
from secateur.tests.cli.conftest import FINETUNE, SUPERNET, Inputs, archive_rows
from secateur.tests.cli.launcher import Launcher

from .common import Summary, finished_run

SHORT = {
    "deepcuts": ["--deepcuts-epochs", "0.5", "--deepcuts-save-seconds", "0"],
    "cofi": ["--cofi-least-steps", "250", "--cofi-mask-learning-rate", "0.5", "--cofi-save-seconds", "0"],
    "block_lasso": [
        *("--block-lasso-width", "8", "--block-lasso-least-steps", "0", "--block-lasso-epochs", "1"),
        *("--block-lasso-retraining-epochs", "1", "--block-lasso-save-seconds", "0"),
    ],
}
STANDARD = ["--standard-epochs", "1", "--standard-save-seconds", "0"]
WITHOUT = {"ehvi": "syne_tune"}  # searchers that need a package


def commands(inputs: Inputs) -> dict[str, tuple[list[str], str | None]]:
    """Return commands by name, RUN and TO in them to be replaced, and what a finished run is without beforehand."""
    found: dict[str, tuple[list[str], str | None]] = {
        "finetune": (["finetune", *inputs.project(Path("RUN")), *FINETUNE, "--finetune-save-seconds", "0"], "*"),
        "supernet": (["supernet", "RUN", *SUPERNET, "--supernet-save-seconds", "0"], "supernet"),
        "run": (["run", *inputs.project(Path("RUN")), *FINETUNE, *SUPERNET, "--search-budget", "8"], "*"),
        "solved": (["search", "RUN", "--weights", "solved", "--budget", "12", "--searcher", "random"], "solved"),
        "ladder": (["ladder", "RUN", "--shares", "3/4,1/3", "--steps", "9", "--save-seconds", "0"], None),
        "compare": (["compare", "RUN", "--density", "0.8", "--recover", "6"], None),
        "extract": (["extract", "RUN", "--encoder-parameters", "1e9", "--to", "TO"], None),
        "export": (["export", "RUN", "--encoder-parameters", "1e9", "--recover", "9", "--to", "TO"], None),
        "report": (["report", "RUN"], None),
    }
    for searcher in SEARCHERS:
        if searcher not in WITHOUT:
            own = STANDARD if searcher == "moasha" else []
            budget = "4" if searcher == "moasha" else "16"
            found[f"search {searcher}"] = (["search", "RUN", "--searcher", searcher, "--budget", budget, *own], None)
    for pruner in PRUNERS:
        own = next((options for name, options in SHORT.items() if pruner.startswith(name)), [])
        found[f"prune {pruner}"] = (["prune", "RUN", "--method", pruner, "--density", "0.7", *own], None)
    return found


def main(
    count: Annotated[int, typer.Option(help="kills, at least")] = 500,
    seed: Annotated[int, typer.Option(help="of the moments")] = 0,
    times: Annotated[int, typer.Option(help="of a command in a round, at most")] = 4,
    first: Annotated[int, typer.Option(help="the number of the first round")] = 0,
    only: Annotated[str, typer.Option(help="commands whose names begin so")] = "",
    place: Annotated[Path, typer.Option(help="where the runs are")] = Path("/tmp/secateur-stress"),
) -> None:
    """Kill and compare."""
    place.mkdir(parents=True, exist_ok=True)
    inputs, finished = finished_run(place)
    log = place / "log"
    log.with_name("socket").unlink(missing_ok=True)
    launcher, summary, kills, number = Launcher(log), Summary("kills", count), 0, first
    calm: dict[str, tuple[float, object]] = {}
    todo = {name: one for name, one in commands(inputs).items() if name.startswith(only)}
    try:
        while kills < count:
            name = list(todo)[number % len(todo)]
            command, without = todo[name]
            rng = np.random.default_rng([seed, number])
            if name not in calm:
                run, to = prepared(place, finished, without)
                begin = time.monotonic()
                assert launcher.run(filled(command, run, to)) == 0, (name, log.read_text()[-2000:])
                calm[name] = time.monotonic() - begin, state(run, to)
            seconds, expected = calm[name]
            run, to = prepared(place, finished, without)
            mine, codes = filled(command, run, to), []
            for _ in range(times):
                at = time.monotonic() + rng.uniform(0, seconds)
                codes.append(launcher.run(mine, lambda at=at: time.monotonic() >= at))
                if codes[-1] != -signal.SIGKILL:
                    break
                kills += 1
                summary.add("kills")
            last = codes[-1] if codes[-1] != -signal.SIGKILL else launcher.run(mine)
            right = last == 0 and state(run, to) == expected
            told = f"round {number}, {name}: exit codes {codes} and {last}: {log.read_text()[-300:]}"
            summary.add("commands resumed", None if right else told)
            log.write_text("")
            number += 1
    finally:
        launcher.close()
    raise typer.Exit(summary.close(f"{len(calm)} commands, next round {number}"))


def prepared(place: Path, finished: Path, without: str | None) -> tuple[Path, Path]:
    """Return a run to work on, without what the command is to make, and the place for a model."""
    run, to = place / "killed", place / "to"
    for path in (run, to, *place.glob(".to.*")):
        shutil.rmtree(path, ignore_errors=True)
    if without != "*":
        shutil.copytree(finished, run)
    if without not in ("*", None):
        shutil.rmtree(run / without)
    return run, to


def filled(command: list[str], run: Path, to: Path) -> list[str]:
    """Return a command with its places."""
    return [{"RUN": str(run), "TO": str(to)}.get(word, word) for word in command]


def state(run: Path, to: Path) -> object:
    """Return what a command's result is known by: all weights, all rows, and that nothing is left of resume points."""
    weights = {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for folder in (run, to)
        for path in folder.rglob("*.safetensors")
    }
    rows = sorted(archive_rows(run), key=repr) if (run / "archive.db").is_file() else []
    left = sorted(path.name for path in run.rglob("*.part")) + sorted(path.name for path in run.glob("*.state"))
    return weights, repr(rows), left


if __name__ == "__main__":
    sys.exit(typer.run(main))
