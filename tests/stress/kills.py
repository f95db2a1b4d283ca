"""Commands that write, killed at random moments: resumed = uninterrupted.

    python -m secateur.tests.stress.kills --count 500 --seed 0 [--place /tmp/secateur-stress]

`--count` is how many SIGKILLs there are at least. Each round takes a command that writes (every stage, searcher,
pruner and way to ship), kills it up to `--times` times at moments of its own length, lets it end, and compares all
models and rows, and which files there are, with those of the same command uninterrupted. What a clock says is left out.
`--first N` leaves the rounds before out. With `--traps`, pickles lie wherever a killed command has left folders, under
all names that trainings ever kept a state by; none may be read.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer
from secateur.pruners import PRUNERS
from secateur.searchers import SEARCHERS
from secateur.tests.cli.conftest import FINETUNE, SUPERNET, Inputs
from secateur.tests.cli.launcher import Launcher
from secateur.tests.cli.traps import PLANTED, plant, trap_of

from .common import LADDER, State, Summary, call, difference, finished_run, state_of

SHORT = {
    "deepcuts": ["--deepcuts-epochs", "0.5", "--deepcuts-save-seconds", "0"],
    "cofi": ["--cofi-least-steps", "250", "--cofi-mask-learning-rate", "0.5", "--cofi-save-seconds", "0"],
    "block_lasso": [
        *("--block-lasso-width", "8", "--block-lasso-least-steps", "0", "--block-lasso-epochs", "1"),
        *("--block-lasso-retraining-epochs", "1", "--block-lasso-save-seconds", "0"),
    ],
}
STANDARD = ["--weights", "supernet", "--standard-epochs", "1", "--standard-save-seconds", "0"]
NEEDS = {"ehvi": "syne_tune"}  # packages without which a searcher is left out
FEWER = {"moasha": 4, "ehvi": 12}  # points: each is a training, or begins with one for the library's model


class Stage(NamedTuple):
    """A command, RUN, TO and CUT in it to be replaced.

    Attributes:
        words: of the command.
        without: what a finished run is without beforehand: a folder of it, `*` for all, None for nothing.
        split: whose rows are compared; which models are on the report split may be a matter of measured latencies.
    """

    words: list[str]
    without: str | None = None
    split: str | None = None


def commands(inputs: Inputs) -> dict[str, Stage]:
    """Return the commands by name."""
    begin = inputs.project(Path("RUN"))
    chosen = ["RUN", "--encoder-parameters", "1e9", "--to", "TO"]
    found = {
        "finetune": Stage(["finetune", *begin, *FINETUNE, "--finetune-save-seconds", "0"], "*"),
        "supernet": Stage(["supernet", "RUN", *SUPERNET, "--supernet-save-seconds", "0"], "supernet"),
        "run": Stage(["run", *begin, *FINETUNE, *SUPERNET, "--search-budget", "8", *LADDER], "*", "selection"),
        "solved": Stage(["search", "RUN", "--weights", "solved", "--budget", "12", "--searcher", "random"], "solved"),
        "ladder": Stage(["ladder", "RUN", "--shares", "3/4,1/3", "--steps", "9", "--save-seconds", "0"]),
        "latency": Stage(["latency", "RUN", "--batch-size", "2", "--seconds", "1"]),
        "compare": Stage(["compare", "RUN", "--density", "0.8", "--recover", "6"]),
        "report": Stage(["report", "RUN"]),
        "extract": Stage(["extract", *chosen]),
        "export": Stage(["export", *chosen, "--recover", "9"]),
        "export served": Stage(["export", *chosen, "--onnx", "--int8"]),
        "export vocabulary": Stage(["export", *chosen, "--recover", "9", "--vocabulary", "corpus"]),
        "nest": Stage(["nest", "RUN", "--refit", "--to", "TO"]),
        "vocabulary": Stage(["vocabulary", "CUT", "--data", str(inputs.data), "--to", "TO"]),
        "recover": Stage(["recover", "RUN", "CUT", "--steps", "30", "--save-seconds", "0", "--to", "TO"]),
        "convert": Stage(["convert", "CUT", "--int8", "--to", "TO"]),
    }
    for searcher in SEARCHERS:
        if searcher not in NEEDS or find_spec(NEEDS[searcher]):
            own = STANDARD if searcher == "moasha" else ["--weights", "supernet"]
            budget = str(FEWER.get(searcher, 16))
            found[f"search {searcher}"] = Stage(["search", "RUN", "--searcher", searcher, "--budget", budget, *own])
    for pruner in PRUNERS:
        own = next((options for name, options in SHORT.items() if pruner.startswith(name)), [])
        found[f"prune {pruner}"] = Stage(["prune", "RUN", "--method", pruner, "--density", "0.7", *own])
    return found


def main(
    count: Annotated[int, typer.Option(help="kills, at least")] = 500,
    seed: Annotated[int, typer.Option(help="of the moments")] = 0,
    times: Annotated[int, typer.Option(help="of a command in a round, at most")] = 4,
    first: Annotated[int, typer.Option(help="the number of the first round")] = 0,
    traps: Annotated[bool, typer.Option("--traps", help="leave pickles in what a kill leaves")] = False,
    only: Annotated[str, typer.Option(help="commands whose names begin so")] = "",
    place: Annotated[Path, typer.Option(help="where the runs are")] = Path("/tmp/secateur-stress"),
) -> None:
    """Kill and compare."""
    place.mkdir(parents=True, exist_ok=True)
    inputs, finished = finished_run(place)
    cut, log, sprung = place / "cut", place / "log", place / "sprung"
    if not cut.is_dir():
        made = call(["extract", finished, "--encoder-parameters", "1e9", "--to", cut])
        assert made.code == 0, made.err
    log.with_name("socket").unlink(missing_ok=True)
    launcher, summary, kills, number = Launcher(log), Summary("kills", count), 0, first
    calm: dict[str, tuple[float, State]] = {}
    todo = {name: one for name, one in commands(inputs).items() if name.startswith(only)}
    try:
        while kills < count:
            name = list(todo)[number % len(todo)]
            stage = todo[name]
            rng = np.random.default_rng([seed, number])
            if name not in calm:
                run, to = prepared(place, finished, stage.without)
                begin = time.monotonic()
                assert launcher.run(filled(stage.words, run, to, cut)) == 0, (name, log.read_text()[-2000:])
                calm[name] = time.monotonic() - begin, state_of(run, to, stage.split)
            seconds, expected = calm[name]
            run, to = prepared(place, finished, stage.without)
            mine, codes = filled(stage.words, run, to, cut), []
            for _ in range(times):
                at = time.monotonic() + rng.uniform(0, seconds)
                codes.append(launcher.run(mine, lambda at=at: time.monotonic() >= at))
                if codes[-1] != -signal.SIGKILL:
                    break
                kills += 1
                if traps:
                    for folder in [run, to, *place.glob(".to.*")]:
                        plant(folder, sprung)
                summary.add("kills", f"round {number}, {name}: a pickle was read" if sprung.exists() else None)
            last = codes[-1] if codes[-1] != -signal.SIGKILL else launcher.run(mine)
            for path in (path for folder in (run, to) for path in folder.rglob("*") if path.name in PLANTED):
                if path.read_bytes() == trap_of(sprung):
                    path.unlink()
            other = difference(state_of(run, to, stage.split), expected)
            other += "a pickle was read" if sprung.exists() else ""
            told = f"round {number}, {name}: exit codes {codes} and {last}; {other}\n{log.read_text()[-300:]}"
            summary.add("commands resumed", told if last or other else None)
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


def filled(words: list[str], run: Path, to: Path, cut: Path) -> list[str]:
    """Return a command with its places."""
    return [{"RUN": str(run), "TO": str(to), "CUT": str(cut)}.get(word, word) for word in words]


if __name__ == "__main__":
    sys.exit(typer.run(main))
