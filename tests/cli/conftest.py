"""A tiny pre-trained BERT, data that it can learn, and complete runs that tests share and copy before a change."""

from __future__ import annotations

import csv
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest
from secateur.cli import run_command
from secateur.evaluation.archive import Archive
from secateur.tests.once import made_once

from .launcher import Launcher

FINETUNE = ["--finetune-epochs", "8", "--finetune-learning-rate", "5e-3"]
SUPERNET = ["--supernet-epochs", "6", "--supernet-learning-rate", "2e-3"]
SEARCH = ["--search-budget", "8", "--search-precision", "float32"]


class Result(NamedTuple):
    """What a command left behind: its exit code and what it printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys) -> Call:
    """Run a command in this process."""

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = run_command([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return run


@pytest.fixture
def fails(call) -> Callable[..., str]:
    """Run a command that must end with one line on stderr and exit code 2; return that line's message."""

    def run(*arguments: object) -> str:
        return message_of(call(*arguments))

    return run


def message_of(result: Result) -> str:
    """Return the message of a command that must have ended with bad input."""
    assert result.code == 2, result
    lines = result.err.splitlines()
    messages = [line for line in lines if line.startswith("secateur: ")]
    assert messages == lines[-1:], result.err  # one line, and the last one
    assert "Traceback" not in result.err + result.out
    return messages[0].removeprefix("secateur: ")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write a CSV file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return texts and labels: whether there is more good than bad, which a single layer can learn."""
    draw = random.Random(seed)
    rows = []
    while len(rows) < count:
        words = draw.choices(["good", "bad", "a", "film", "truly", "very", "!"], k=draw.randint(3, 9))
        balance = words.count("good") - words.count("bad")
        if balance:
            rows.append((" ".join(words), "pos" if balance > 0 else "neg"))
    return rows


@dataclass(frozen=True)
class Inputs:
    """What a run is started with."""

    model: Path
    data: Path

    def project(self, out: Path, **changes: object) -> list[str]:
        """Return the options that say what a run in `out` is about."""
        options = {"model": self.model, "task": "local", "data": self.data, "out": out} | changes
        named = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
        return [str(part) for option in named for part in option]

    def run(self, out: Path, **changes: object) -> list[str]:
        """Return a whole command for a small run in `out`."""
        return ["run", *self.project(out, **changes), *FINETUNE, *SUPERNET, *SEARCH, "--skip", "ladder"]


@pytest.fixture(scope="session")
def inputs(tmp_path_factory, tiny_tokenizer) -> Inputs:
    from secateur.tests.tiny import tiny_model

    def make(folder: Path) -> None:
        tiny_model("bert").bert.save_pretrained(folder / "base")  # without its head: pre-trained only
        tiny_tokenizer.save_pretrained(folder / "base")
        for split, count, seed in (("train", 256, 0), ("validation", 64, 1)):
            write_csv(folder / "data" / f"{split}.csv", ["text", "label"], sentences(count, seed))

    folder = made_once(tmp_path_factory, "inputs", make)
    return Inputs(folder / "base", folder / "data")


@pytest.fixture(scope="session")
def finished(inputs, tmp_path_factory) -> Path:
    """A complete run; tests must leave it as it is."""

    def make(out: Path) -> None:
        assert run_command(inputs.run(out)) == 0

    # A copy, for a process must not find it locked by another one that reads it just now.
    return shutil.copytree(made_once(tmp_path_factory, "finished", make), tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="session")
def launcher(tmp_path_factory) -> Iterator[Launcher]:
    """Starts commands that can be killed."""
    made = Launcher(tmp_path_factory.mktemp("launcher") / "log")
    yield made
    made.close()


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    """A complete run of one's own."""
    return shutil.copytree(finished, tmp_path / "copied")


def archive_rows(run: Path, split: str | None = None) -> list[tuple]:
    """Return all that a run's archive says, in order, without what was measured with a clock."""
    with Archive(run / "archive.db") as archive:
        return [
            (e.key, e.x, e.space, e.method, e.seed, e.split, e.asked, e.weights, *sorted(_unclocked(e.values).items()))
            for e in archive.evaluations(split=split)
        ]


def _unclocked(values: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in values.items() if not name.startswith(("latency", "shared_seconds"))}


def asked(run: Path) -> int:
    """Return how many points a search that may be under way has stored."""
    try:
        db = sqlite3.connect(f"file:{run / 'archive.db'}?mode=ro", uri=True, timeout=0.1)
        try:
            return db.execute("SELECT count(*) FROM evaluations WHERE asked").fetchone()[0]
        finally:
            db.close()
    except sqlite3.Error:  # not made yet, or being written
        return 0


def record(run: Path) -> dict:
    """Return what a run's run.json says, without its digest: it may be changed and written back."""
    content = json.loads((run / "run.json").read_text())
    content.pop("digest", None)
    return content
