"""What the stress programs share: a tiny run, commands in this process, one line at the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("SECATEUR_LATENCY_SECONDS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from secateur.tests.cli.conftest import FINETUNE, SEARCH, SUPERNET, Inputs, archive_rows, sentences, write_csv

LADDER = ["--ladder-shares", "1/2", "--ladder-steps", "9"]
PRUNED = ["--method", "kcm,rank_magnitude,deepcuts_snip", "--density", "0.8", "--deepcuts-epochs", "0.2"]
# Drawn anew at the end of whatever command comes last, or swept by the next one that writes a run.
FREE = re.compile(r".*\.(html|png|lock)(\.[0-9a-f]{8}\.part)?")

State = dict[str, Counter[str]]  # what a command leaves behind, by kind


class Outcome(NamedTuple):
    """What a command left behind; -1 as a code is an exception that came out of it."""

    code: int
    out: str
    err: str

    @property
    def is_traceback(self) -> bool:
        return self.code == -1 or "Traceback (most recent call last)" in self.err


def tiny_inputs(folder: Path) -> Inputs:
    """Write a tiny pre-trained model and data that it can learn, unless they are there."""
    from secateur.tests.tiny import tiny_model, tiny_tokenizer

    if not (folder / "data" / "validation.csv").is_file():
        tiny_model("bert").bert.save_pretrained(folder / "base")
        tiny_tokenizer().save_pretrained(folder / "base")
        for split, count, seed in (("train", 256, 0), ("validation", 64, 1)):
            write_csv(folder / "data" / f"{split}.csv", ["text", "label"], sentences(count, seed))
    return Inputs(folder / "base", folder / "data")


def finished_run(place: Path) -> tuple[Inputs, Path]:
    """Return inputs and a finished run with pruned models, solved weights and a ladder, made unless it is there."""
    inputs, run = tiny_inputs(place / "inputs"), place / "finished"
    if not (place / "made").is_file():
        shutil.rmtree(run, ignore_errors=True)
        commands = [
            ["run", *inputs.project(run), *FINETUNE, *SUPERNET, *SEARCH, *LADDER],
            ["search", run, "--weights", "solved", "--budget", "4", "--searcher", "random"],
            ["prune", run, *PRUNED],
            ["compare", run, "--density", "0.8", "--recover", "2"],
        ]
        for command in commands:
            outcome = call(command)
            assert outcome.code == 0, (command, outcome.err)
        (place / "made").touch()
    return inputs, run


def call(words: Sequence[object]) -> Outcome:
    """Run a command in this process."""
    from secateur.cli import run_command

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run_command([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = -1
    return Outcome(code, out.getvalue(), err.getvalue())


class Summary:
    """Counts outcomes, tells of each that is wrong as it comes, and ends with one line.

    Args:
        title: of the program.
        count: how many there will be.
    """

    def __init__(self, title: str, count: int) -> None:
        self._title, self._count = title, count
        self._found: Counter[str] = Counter()
        self._wrong = 0
        self._begin = self._said = time.monotonic()

    def add(self, outcome: str, wrong: str | None = None) -> None:
        """Count an outcome; `wrong` says what is wrong with it."""
        self._found[outcome] += 1
        if wrong is not None:
            self._wrong += 1
            print(f"WRONG: {wrong}", file=sys.stderr, flush=True)
        if time.monotonic() - self._said > 60:
            self._said = time.monotonic()
            print(f"{self._title}: {self._found.total()} of {self._count}", file=sys.stderr, flush=True)

    def close(self, note: str = "") -> int:
        """Print the line and return the exit code: 1 if anything was wrong."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self._found.items()))
        seconds = time.monotonic() - self._begin
        verdict = "right" if not self._wrong else f"{self._wrong} WRONG"
        print(f"{self._title}: {self._found.total()} in {seconds:.0f} s: {counts}{note and f'; {note}'}: {verdict}")
        return 1 if self._wrong else 0


@contextlib.contextmanager
def copy_of(run: Path, place: Path) -> Iterator[Path]:
    """Yield a copy of a run."""
    copy = place / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    yield shutil.copytree(run, copy)
    shutil.rmtree(copy, ignore_errors=True)


def state_of(run: Path, to: Path, split: str | None = None) -> State:
    """Return what a command's result is known by: all weights, all rows, and which files there are.

    Args:
        run: the run folder.
        to: of a model that was written.
        split: whose rows; of all if None.
    """
    files = [(folder, path) for folder in (run, to) for path in sorted(folder.rglob("*")) if path.is_file()]
    titles = {path: f"{folder.name}/{path.relative_to(folder)}" for folder, path in files}
    weights = [path for path in titles if path.suffix in (".safetensors", ".onnx")]
    rows = archive_rows(run, split) if (run / "archive.db").is_file() else []
    return {
        "weights": Counter(f"{titles[path]} {hashlib.blake2b(path.read_bytes()).hexdigest()}" for path in weights),
        "rows": Counter(map(repr, rows)),
        "files": Counter(
            [*(title for path, title in titles.items() if not FREE.fullmatch(path.name))]
            + [path.name for path in to.parent.glob(f".{to.name}.*")]
        ),
        "printed": Counter(),
    }


def difference(found: State, expected: State) -> str:
    """Say what of one state is not in the other; nothing if they are the same."""
    told = []
    for what in expected:
        new, gone = found[what] - expected[what], expected[what] - found[what]
        if new or gone:
            examples = "\n".join(f"{sign} {one}" for sign, some in (("+", new), ("-", gone)) for one in [*some][:2])
            told.append(f"{what}: {new.total()} new, {gone.total()} gone\n{examples}")
    return "\n".join(told)
