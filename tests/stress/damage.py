"""Damaged files of a run: each is named, or what was read is what was written; no traceback.

    python -m secateur.tests.stress.damage --count 1000 --seed 0 [--place /tmp/secateur-stress]

Each round changes one file of a finished run (a flipped bit, a cut, a file of nothing, other bytes, a file that is
gone) and gives a command that reads it. Rounds are independent of each other: `--first N` leaves the ones before out.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from .common import Summary, call, copy_of, finished_run

HOWS = ("flipped", "flipped", "flipped", "cut", "empty", "other bytes", "gone")
# What is written and never read again, or may be written by hand.
_FREE = (".html", ".png", ".lock", ".md")


def main(
    count: Annotated[int, typer.Option(help="rounds")] = 1000,
    seed: Annotated[int, typer.Option(help="of the damage")] = 0,
    first: Annotated[int, typer.Option(help="the number of the first round")] = 0,
    place: Annotated[Path, typer.Option(help="where the run is kept")] = Path("/tmp/secateur-stress"),
) -> None:
    """Damage files one by one."""
    place.mkdir(parents=True, exist_ok=True)
    inputs, run = finished_run(place)
    files = sorted(p.relative_to(run) for p in run.rglob("*") if p.is_file() and p.suffix not in _FREE)
    keys = call(["front", run, "--json"])
    rows = [(row["key"], row["weights"]) for row in _json(keys.out)]
    summary, expected = Summary("damage", count), {}
    for number in range(first, first + count):
        rng = np.random.default_rng([seed, number])
        name, how = files[rng.integers(len(files))], HOWS[rng.integers(len(HOWS))]
        command = _command(rng, place, run, inputs, rows)
        question = tuple(map(str, command))
        if question not in expected:
            expected[question] = _result(command, run, place)
        with copy_of(run, place) as copy:
            _damage(copy / name, how, rng)
            mine = [copy if word == run else word for word in command]
            outcome = call(mine)
            title = f"round {number}: {name} {how}, {' '.join(map(str, command))}"
            if outcome.is_traceback:
                summary.add("tracebacks", f"{title}: {outcome.err[-600:]}")
            elif outcome.code == 2:
                named = str(name) in outcome.err or name.parts[0] in outcome.err or name.name in outcome.err
                summary.add("named", None if named else f"{title}: {outcome.err[-300:]}")
            elif "is damaged" in outcome.err:
                summary.add("named, the rest used")
            else:
                same = _files(command, outcome.out, copy, place) == expected[question]
                summary.add("as they were", None if same else f"{title}: another result without a word")
    raise typer.Exit(summary.close())


def _json(text: str) -> list[dict]:
    import json

    return json.loads(text)


def _command(rng: np.random.Generator, place: Path, run: Path, inputs: object, rows: list) -> list[object]:
    key, weights = rows[rng.integers(len(rows))]
    extract = ["extract", run, "--key", key, "--weights", weights, "--to", place / "cut"]
    front = [["front", run, "--json"], ["pick", run, "--error", "0.9", "--as-measured", "--json"], ["report", run]]
    return [extract, extract, *front][rng.integers(5)]


def _result(command: list[object], run: Path, place: Path) -> object:
    outcome = call(command)
    assert outcome.code == 0, (command, outcome.err)
    return _files(command, outcome.out, run, place)


def _files(command: list[object], out: str, run: Path, place: Path) -> object:
    """Return what a command's result is known by: the weights that it wrote, or what it printed."""
    if command[0] == "extract":
        return (place / "cut" / "model.safetensors").read_bytes(), (place / "cut" / "config.json").read_bytes()
    return out.replace(str(run), "RUN") if command[0] != "report" else ""


def _damage(path: Path, how: str, rng: np.random.Generator) -> None:
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[: int(rng.integers(max(1, len(content))))])
    elif how == "other bytes":
        path.write_bytes(rng.bytes(len(content)))
    elif content:
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(changed)


if __name__ == "__main__":
    sys.exit(typer.run(main))
