"""A run that is killed at any moment and started again ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from .conftest import FINETUNE, SUPERNET, archive_rows, record

STAGES = ("finetune", "supernet", "latency", "search", "front", "extract")
SLOW = ["--finetune-save-seconds", "0", "--supernet-save-seconds", "0"]  # a resume point after each step
SEARCH = ["--search-budget", "40", "--search-precision", "float32"]


@dataclass(frozen=True)
class Place:
    """Where a run is: its stage, and how much of it is done."""

    stage: str
    done: int

    def reached(self, other: Place) -> bool:
        """Tell whether this is at the other place or beyond it."""
        return (STAGES.index(self.stage), self.done) >= (STAGES.index(other.stage), other.done)


def place(run: Path) -> Place:
    """Find out from its files where a run is."""
    try:
        stages = record(run)["stages"]
    except (OSError, ValueError):
        return Place("finetune", -1)
    for name, state in (("finetune", "finetuned.state"), ("supernet", "supernet.state")):
        if not stages.get(name, {}).get("complete"):
            steps = [int(path.name.split("-")[1]) for path in (run / state).glob("step-*")]
            return Place(name, max(steps, default=0))
    if not list((run / "latency").glob("*.json")):
        return Place("latency", 0)
    if stages.get("search", {}).get("complete"):
        return Place("extract", len(list(run.glob("report.html"))) + len(list(run.glob("front.png"))))
    selection, report = _counted(run / "archive.db")
    return Place("front", report) if report else Place("search", selection)


def _counted(archive: Path) -> tuple[int, int]:
    """Return how many points were asked and how many models were scored on the report split."""
    try:
        db = sqlite3.connect(f"file:{archive}?mode=ro", uri=True, timeout=0.1)
        try:
            rows = dict(db.execute("SELECT split, count(*) FROM evaluations WHERE asked GROUP BY split"))
        finally:
            db.close()
    except sqlite3.Error:  # not made yet, or being written
        return 0, 0
    return rows.get("selection", 0), rows.get("report", 0)


def after(seconds: float, run: Path | None = None, there: Place | None = None) -> Callable[[], bool]:
    """Return a moment: so many seconds after a place of a run is reached, or after the start."""
    since = None if there else time.monotonic()

    def come() -> bool:
        nonlocal since
        if since is None and run is not None and there is not None and place(run).reached(there):
            since = time.monotonic()
        return since is not None and time.monotonic() - since >= seconds

    return come


def test_a_run_killed_ten_times_is_the_same(inputs, launcher, tmp_path):
    killed, calm = tmp_path / "killed", tmp_path / "calm"
    draw = np.random.default_rng(2024)
    moments: list[tuple[Place | None, float]] = [(None, draw.uniform(0, 0.5))]
    for stage, steps, longest in (
        ("finetune", 54, 0.03),
        ("supernet", 40, 0.03),
        ("latency", 0, 0.5),
        ("search", 28, 0.01),
    ):
        counts = np.sort(draw.choice(np.arange(1, steps), 2, replace=False)) if steps else [0]
        moments += [(Place(stage, int(count)), draw.uniform(0, longest)) for count in counts]
    moments.append((Place("front", 1), draw.uniform(0, 0.05)))
    moments.append((Place("extract", 0), draw.uniform(0, 0.3)))
    assert len(moments) == 10

    command = ["run", *inputs.project(killed), *FINETUNE, *SUPERNET, *SEARCH, *SLOW, "--skip", "ladder"]
    hit: list[Place] = []
    for there, seconds in moments:
        assert launcher.run(command, after(seconds, killed, there)) == -signal.SIGKILL, launcher.log.read_text()
        hit.append(place(killed))
        print(f"killed in {hit[-1].stage}, {hit[-1].done} done")
    assert {one.stage for one in hit} == set(STAGES)
    assert launcher.run(command) == 0, launcher.log.read_text()

    # What a clock measures is never the same twice, and decides which models are on the front of latency.
    assert launcher.run(["finetune", *inputs.project(calm), *FINETUNE]) == 0
    shutil.copytree(killed / "latency", calm / "latency")
    assert launcher.run(["run", *inputs.project(calm), *FINETUNE, *SUPERNET, *SEARCH, "--skip", "ladder"]) == 0
    for name in ("finetuned", "supernet"):
        weights = Path(name, "model.safetensors")
        assert (killed / weights).read_bytes() == (calm / weights).read_bytes(), name
    assert archive_rows(killed) == archive_rows(calm)
    assert {row[5] for row in archive_rows(killed)} == {"selection", "report"}
    assert files(killed) == files(calm)


def files(run: Path) -> set[str]:
    return {str(path.relative_to(run)) for path in run.rglob("*") if "tokens" not in path.parts}


def test_what_a_kill_right_after_a_stage_leaves_is_gone_with_the_next_command(inputs, finished, call, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    left = [run / f"{stage}.seconds" for stage in ("finetune", "supernet", "search")]
    for path in (run / "finetuned.state" / "step-1" / "optimizer.safetensors", run / "supernet.state" / "teacher.npy"):
        path.parent.mkdir(parents=True)
        left.append(path)
    for path in left:
        path.touch()
    assert call("finetune", *inputs.project(run), *FINETUNE).code == 0
    assert files(run) == files(finished)


def test_seconds_of_an_attempt_that_was_killed_are_counted(inputs, launcher, tmp_path):
    run = tmp_path / "run"
    clock = run / "finetune.seconds"
    command = ["finetune", *inputs.project(run), *FINETUNE[2:], "--finetune-epochs"]
    assert launcher.run([*command, "500"], clock.is_file) == -signal.SIGKILL, launcher.log.read_text()
    assert float(clock.read_text().split()[0]) > 0
    clock.write_text("1000")  # as if it had taken so long
    content = record(run)
    content["stages"] = {}  # a shorter one, to come to an end
    (run / "run.json").write_text(json.dumps(content))
    shutil.rmtree(run / "finetuned.state")
    begin = time.monotonic()
    assert launcher.run([*command, "1"]) == 0, launcher.log.read_text()
    assert 1000 < record(run)["stages"]["finetune"]["seconds"] < 1000 + time.monotonic() - begin
    assert not clock.exists()


@pytest.mark.parametrize("searcher", ["random", "local", "nsga2", "gp", "ehvi", "predictor"])
def test_a_search_that_was_killed_is_the_same(finished, launcher, tmp_path, searcher):
    if searcher == "ehvi":
        pytest.importorskip("syne_tune", reason="the extra `syne-tune` is not installed")
    killed, calm = (
        shutil.copytree(finished, tmp_path / name, ignore=shutil.ignore_patterns("archive.db"))
        for name in ("killed", "calm")
    )
    options = ["--search-searcher", searcher, "--search-precision", "float32", "--search-budget", "20"]
    command = ["search", str(killed), *options]
    for count in (2, 7, 13) if searcher != "ehvi" else (13,):  # whose library takes ten seconds to come up
        moment = lambda count=count: _counted(killed / "archive.db")[0] >= count  # noqa: E731
        assert launcher.run(command, moment) == -signal.SIGKILL, launcher.log.read_text()
    assert launcher.run(command) == 0, launcher.log.read_text()
    assert launcher.run(["search", str(calm), *options]) == 0
    assert archive_rows(killed) == archive_rows(calm)
