"""A search on workers finds what a search without them finds, whoever is killed on the way."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from secateur.cli import run_command

from .conftest import archive_rows, asked, record

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed", reason="the extra `distributed` is not installed")

OPTIONS = ["--search-searcher", "random", "--search-precision", "float32", "--search-budget", "80"]


def rows(run: Path) -> list[tuple]:
    """Return what a search found, in an order of its own: subnetworks, points, values, and who asked for what."""
    return sorted(archive_rows(run, "selection"), key=lambda row: row[0])


def at(count: int, run: Path, act: Callable[[], object]) -> threading.Thread:
    """Do something as soon as a search has stored so many points; return the thread that waits for it."""

    def wait() -> None:
        until = time.monotonic() + 120
        while asked(run) < count and time.monotonic() < until:
            time.sleep(0.002)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A run whose supernet was never searched."""
    return fresh(finished, tmp_path / "run")


def fresh(finished: Path, to: Path) -> Path:
    return shutil.copytree(finished, to, ignore=shutil.ignore_patterns("archive.db"))


@pytest.fixture(scope="module")
def alone(finished, tmp_path_factory) -> list[tuple]:
    """What a search without workers finds."""
    run = fresh(finished, tmp_path_factory.mktemp("alone") / "run")
    assert run_command(["search", str(run), *OPTIONS]) == 0
    found = rows(run)
    assert sum(row[6] for row in found) >= 60
    assert sum(not row[6] for row in found) >= 10  # other depths, which come with what was asked
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[distributed.Client]:
    """A cluster that outlives the searches on it: a worker, and one with two threads and the tag `edge`."""
    here = {"host": "127.0.0.1", "dashboard_address": ":0"}
    workers = {
        0: {"cls": distributed.Nanny, "options": {"nthreads": 1, **here}},
        1: {"cls": distributed.Nanny, "options": {"nthreads": 2, "resources": {"edge": 1}, **here}},
    }
    scheduler = {"cls": distributed.Scheduler, "options": here}
    with (
        distributed.SpecCluster(workers, scheduler, silence_logs="CRITICAL") as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


def test_a_cluster_that_loses_a_worker_finds_the_same(alone, call, run, cluster):
    address = cluster.scheduler.address
    processes = cluster.run(os.getpid)
    victim = processes[min(processes)]
    killer = at(5, run, lambda: os.kill(victim, signal.SIGKILL))
    result = call("search", run, *OPTIONS, "--scheduler", address)
    killer.join()
    assert result.code == 0, result.err
    assert rows(run) == alone
    assert f"search: 2 workers at {address}" in result.err.splitlines()
    assert re.search(r"search \(random\): 80/80  \d+ evaluated, [12] workers", result.err)
    assert victim not in cluster.run(os.getpid).values()


def test_a_cluster_goes_on_after_ctrl_c(alone, call, run, cluster):
    command = ["search", run, *OPTIONS, "--scheduler", cluster.scheduler.address]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may ignore it
    try:
        interrupter = at(5, run, lambda: os.kill(os.getpid(), signal.SIGINT))
        result = call(*command)
        interrupter.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.code == 130
    assert result.err.splitlines()[-1] == "secateur: interrupted; the same command goes on from here"
    assert 5 <= asked(run) < 80
    assert call(*command).code == 0
    assert rows(run) == alone


def test_a_killed_driver_leaves_nothing_and_loses_nothing(alone, inputs, call, fails, run, finished):
    """While it lives nobody else writes its folder; when it is dead its workers are too, and the search goes on."""
    command = [sys.executable, "-m", "secateur", "search", str(run), *OPTIONS, "--workers", "2"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    at(5, run, lambda: driver.send_signal(signal.SIGSTOP)).join()
    there = rows(run)
    assert 5 <= sum(row[6] for row in there) < 80
    workers = [
        child for child in psutil.Process(driver.pid).children(recursive=True) if "spawn" in str(child.cmdline())
    ]
    assert len(workers) >= 2

    stages = record(run)["stages"]
    for other in (["search", run, *OPTIONS], inputs.run(run), ["search", run, "--search-searcher", "moasha"]):
        assert fails(*other) == (
            f"{run} is being written by another process; wait until it has ended, or choose another run folder"
        )
    assert record(run)["stages"] == stages
    assert rows(run) == there

    driver.kill()
    assert driver.wait() == -signal.SIGKILL
    assert not psutil.wait_procs(workers, timeout=30)[1]
    assert driver.stderr is not None
    assert "search: 2 workers" in driver.stderr.read().splitlines()
    driver.stderr.close()
    result = call("search", run, *OPTIONS, "--workers", "1")
    assert result.code == 0, result.err
    assert rows(run) == alone
    assert "search: 1 workers" in result.err.splitlines()


def test_latencies_come_from_the_machine_with_the_tag(call, fails, run, cluster):
    """The tests have one thread, the worker with the tag has two."""
    command = ["search", run, *OPTIONS, "--search-budget", "3", "--scheduler", cluster.scheduler.address]
    assert "has the tag 'elsewhere'; start one on" in fails(*command, "--latency-tag", "elsewhere")
    result = call(*command, "--latency-tag", "edge")
    assert result.code == 0, result.err
    assert record(run)["basis"]["target"].startswith("cpu-t2-")
    assert list((run / "latency").glob("cpu-t2-*.json"))
    assert all(row[5] == "report" for row in archive_rows(run, "report"))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            ["--scheduler", "tcp://127.0.0.1:9"],
            r"no Dask scheduler answers at tcp://127.0.0.1:9 within 200ms; start one",
        ),
        (["--workers", "2", "--scheduler", "tcp://127.0.0.1:9"], r"--workers starts workers here, --scheduler uses"),
        (["--latency-tag", "edge"], r"--latency-tag names workers of a cluster; give its --scheduler too"),
        (["--workers", "0"], r"--workers: .*greater than or equal to 1, got 0"),
        (["--workers", "2", "--search-searcher", "moasha"], r"standard NAS \(moasha\) trains in one process; leave"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options(fails, run, options, expected):
    with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
        assert re.match(expected, fails("search", run, *options))
    assert not (run / "archive.db").exists() or not archive_rows(run)


def test_searches_are_not_for_torchrun(fails, run, inputs, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "`secateur search` is one process, torchrun is for" in fails("search", run)
    assert "`secateur run` is one process, torchrun is for" in fails(*inputs.run(run))


SCRIPT = """
import sys
import secateur

run = secateur.Run(sys.argv[1])
run.search(budget=10, workers=2)
print(len(run.front()), __file__)
"""


def test_a_plain_script_may_have_workers(copied, tmp_path):
    """Its calls stand at its top, and are carried out once."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script, copied], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(str(script))
    assert len(done.stdout.splitlines()) == 1
