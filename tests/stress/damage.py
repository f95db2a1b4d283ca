"""Damaged files of a run: each is named, or what was read is what was written; no traceback.

    python -m secateur.tests.stress.damage --count 1000 --seed 0 [--place /tmp/secateur-stress]

Each round changes one file of a finished run (a flipped bit, a cut, a file of nothing, other bytes, a file that is
gone, a pickle that tells when it is read) that a command reads, and gives that command. It must name the file, or leave
behind what it leaves in a sound run. Rounds are independent of each other: `--first N` leaves the ones before out.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from secateur.tests.cli.conftest import SUPERNET
from secateur.tests.cli.traps import trap_of

from .common import Outcome, State, Summary, call, copy_of, difference, finished_run, state_of

HOWS = ("flipped", "flipped", "flipped", "cut", "empty", "other bytes", "a pickle", "gone")
# What is written and never read again, or may be written by hand.
UNREAD = (".html", ".png", ".lock", ".md")


def main(
    count: Annotated[int, typer.Option(help="rounds")] = 1000,
    seed: Annotated[int, typer.Option(help="of the damage")] = 0,
    first: Annotated[int, typer.Option(help="the number of the first round")] = 0,
    place: Annotated[Path, typer.Option(help="where the run is kept")] = Path("/tmp/secateur-stress"),
) -> None:
    """Damage files one by one."""
    place.mkdir(parents=True, exist_ok=True)
    _, finished = finished_run(place)
    reader = Reader(place, finished)
    commands = readers(finished)
    summary, sprung = Summary("damage", count), place / "sprung"
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        name, how = list(commands)[rng.integers(len(commands))], HOWS[rng.integers(len(HOWS))]
        words = commands[name][rng.integers(len(commands[name]))]
        expected, files = reader.sound(words)
        file = files[rng.integers(len(files))]
        outcome, found = reader.after(words, partial(damage, file, how, rng, trap_of(sprung)))
        title = f"round {number}: {file} {how}, {' '.join(words)}"
        other = difference(*(without(one, file) for one in (found, expected))) if found else ""
        if sprung.exists():
            summary.add("pickles read", title)
            sprung.unlink()
        elif outcome.is_traceback:
            summary.add("tracebacks", f"{title}: {outcome.err[-600:]}")
        elif outcome.code == 2:
            named = any(part in outcome.err for part in (str(file), file.name, f"{file.parts[0]} is gone"))
            summary.add("named", None if named else f"{title}: {outcome.err[-300:]}")
        elif outcome.code == 0 and any(f" is {what}" in outcome.err for what in ("damaged", "gone, and", "empty, and")):
            summary.add("named, the rest used")
        elif outcome.code == 0:
            summary.add("as they were", f"{title}: another result without a word: {other}" if other else None)
        else:
            summary.add("other codes", f"{title}: {outcome.code}, {outcome.err[-300:]}")
    raise typer.Exit(summary.close(f"files read by {len(reader.known)} commands"))


def readers(finished: Path) -> dict[str, list[list[str]]]:
    """Return commands that read a run, of each kind some, RUN and TO in them to be replaced."""
    rows = json.loads(call(["front", finished, "--json"]).out)
    return {
        "extract": [
            ["extract", "RUN", "--key", row["key"], "--weights", row["weights"], "--to", "TO"] for row in rows[:6]
        ],
        "export": [["export", "RUN", "--encoder-parameters", "1e9", "--recover", "2", "--to", "TO"]],
        "front": [["front", "RUN", "--json"], ["pick", "RUN", "--error", "0.9", "--as-measured", "--json"]],
        "report": [["report", "RUN"]],
        "prune": [["prune", "RUN", "--method", "rank_fisher,kprune", "--density", "0.6"]],
        "compare": [["compare", "RUN", "--density", "0.8", "--recover", "2", "--json"]],
        "ladder": [["ladder", "RUN", "--shares", "1/2,1/4", "--steps", "9", "--json"]],
        "search": [["search", "RUN", "--weights", "supernet", "--budget", "12"]],
        "solved": [["search", "RUN", "--weights", "solved", "--searcher", "random", "--budget", "6"]],
        "supernet": [["supernet", "RUN", *SUPERNET]],
    }


class Reader:
    """Gives commands to copies of a run, and knows what they leave behind in a sound one and which files they read.

    Args:
        place: where the copies are.
        finished: the run.
    """

    def __init__(self, place: Path, finished: Path) -> None:
        self._place, self._finished = place, finished
        self.known: dict[tuple[str, ...], tuple[State, list[Path]]] = {}
        self._opened: set[str] = set()
        self._listens = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._listens and event in ("open", "sqlite3.connect"):
            self._opened.add(str(arguments[0]).removeprefix("file:").split("?")[0])

    def sound(self, words: list[str]) -> tuple[State, list[Path]]:
        """Return what a command leaves behind, and which files of the run it reads."""
        if (key := tuple(words)) not in self.known:
            outcome, found = self.after(words, lambda _: None)
            assert outcome.code == 0, (words, outcome.err)
            copy = self._place / "copy"
            files = sorted(p.relative_to(self._finished) for p in self._finished.rglob("*") if p.is_file())
            files = [file for file in files if file.parts[0] != words[0] or words[0] != "supernet"]
            read = [file for file in files if str(copy / file) in self._opened and file.suffix not in UNREAD]
            assert read, words
            self.known[key] = found, read
        return self.known[key]

    def after(self, words: list[str], change: Callable[[Path], None]) -> tuple[Outcome, State]:
        """Change a copy of the run, give it the command, and return what that leaves behind."""
        to = self._place / "to"
        for path in (to, *self._place.glob(".to.*")):
            shutil.rmtree(path, ignore_errors=True)
        with copy_of(self._finished, self._place) as copy:
            if words[0] == "supernet":
                shutil.rmtree(copy / "supernet")
            change(copy)
            self._opened, self._listens = set(), True
            outcome = call([{"RUN": copy, "TO": to}.get(word, word) for word in words])
            self._listens = False
            timed = words[0] == "search"  # which models are on the report split is a matter of measured latencies
            found = state_of(copy, to, "selection" if timed else None) if outcome.code == 0 else State()
        if found and words[0] in ("front", "pick"):
            found["printed"].update([outcome.out])
        return outcome, found


def without(state: State, file: Path) -> State:
    """Leave what is said of one file out."""
    return {
        what: Counter({one: n for one, n in found.items() if one.split(" ")[0] != f"copy/{file}"})
        for what, found in state.items()
    }


def damage(file: Path, how: str, rng: np.random.Generator, trap: bytes, run: Path) -> None:
    """Change a file of a run."""
    path = run / file
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: int(rng.integers(max(1, len(content))))])
    elif how == "other bytes":
        path.write_bytes(rng.bytes(len(content)))
    elif how == "a pickle":
        path.write_bytes(trap)
    elif content:
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)


if __name__ == "__main__":
    sys.exit(typer.run(main))
