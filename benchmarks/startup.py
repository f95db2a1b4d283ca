"""What starting a command costs, beside `import torch`.

    python -m secateur.benchmarks.startup RUN [--rounds 5]

CPU seconds of a process, as a ratio to `python -c "import torch"`: medians over rounds, all in turn. RUN is a run that
was searched; its page is written anew, its picture where the row says so.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from ..cli.console import progress
from ..supernet.stored.record import PICTURE
from .common import show

TORCH = "import torch"
DRAWN = ", with its picture"


def main(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    rounds: Annotated[int, typer.Option(help="how often each is started")] = 5,
) -> None:
    """Print a row for each command."""
    commands = {TORCH: ["-c", TORCH]}
    for words in ("--help", "run --help", "front RUN --json", "front RUN", "report RUN", "compare RUN"):
        arguments = [str(run) if word == "RUN" else word for word in words.split()]
        commands[f"secateur {words}"] = ["-m", "secateur", *arguments]
    commands[f"secateur report RUN{DRAWN}"] = commands["secateur report RUN"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with progress("startup") as tick:
        for turn in range(rounds + 1):
            for name, arguments in commands.items():
                if name.endswith(DRAWN):
                    (run / PICTURE).unlink()
                taken = cpu_seconds(arguments)
                if turn:  # the first round fills the caches
                    seconds[name].append(taken)
            tick(turn + 1, rounds + 1)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    rows = [(name, f"{median:.2f}", f"{median / medians[TORCH]:.2f}") for name, median in medians.items()]
    show("starting a command", ("command", "CPU seconds", "ratio"), rows)


def cpu_seconds(arguments: list[str]) -> float:
    """Return what a Python process takes of all processors, in its own mode and the system's."""
    before = os.times()
    # As with most users: where bytecode must not be written, compiling all that is imported is most of what is timed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


if __name__ == "__main__":
    typer.run(main)
