"""Evaluations run here or on workers; a lost worker costs no more than its evaluation, and that is tried again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from secateur.errors import InputError
from secateur.evaluation.farm import Done, LocalFarm
from secateur.tests.evaluation.crew import Crew, unprepared, whose

dask = pytest.importorskip("dask")
pytest.importorskip("distributed", reason="the extra `distributed` is not installed")
dask_cluster = pytest.importorskip("secateur.evaluation.dask_cluster")
dask_farm = pytest.importorskip("secateur.evaluation.dask_farm")


def run_all(farm, jobs: dict[int, str]) -> dict[int, Done[str]]:
    for number, job in jobs.items():
        farm.submit(number, job)
    done = [farm.next() for _ in jobs]
    assert sorted(one.number for one in done) == sorted(jobs)
    return {one.number: one for one in done}


def diary(crew: Crew) -> Counter[str]:
    """Return how often each job was attempted."""
    return Counter(line.split()[0] for line in crew.diary.read_text().splitlines())


@pytest.fixture
def crew(tmp_path) -> Crew:
    return Crew(tmp_path / "diary")


@contextmanager
def processes() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start `dask` commands; what still runs at the end is ended."""
    started: list[subprocess.Popen[bytes]] = []
    dask = Path(sys.executable).parent / "dask"

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [str(dask), *arguments, "--no-dashboard"]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return started[-1]

    try:
        yield start
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=30)


def test_here_one_after_another():
    seen: list[str] = []
    farm = LocalFarm[str, int](lambda job: seen.append(job) or len(seen))
    assert (farm.workers, farm.capacity) == (0, 1)
    farm.submit(7, "a")
    farm.submit(3, "b")
    assert [farm.next(), farm.next()] == [Done(7, 1), Done(3, 2)]
    assert seen == ["a", "b"]


def test_failures_are_tried_three_times_and_cost_nobody_else(crew):
    """One job raises, one ends its worker's process; all others come to their end whatever company they were in."""
    jobs = dict(enumerate(["a", "raise", "b", "die", "c", "d", "e", "f"]))
    with dask_cluster.local_cluster(2, 1) as client:
        farm = dask_farm.DaskFarm(client, crew)
        assert (farm.workers, farm.capacity) == (2, 4)
        done = run_all(farm, jobs)
        farm.close()
    assert {number: one.result for number, one in done.items() if one.result} == {
        number: job.upper() for number, job in jobs.items() if len(job) == 1
    }
    assert done[1] == Done(1, None, "ValueError: raise for good")
    assert done[3] == Done(3, None, "its worker was lost")
    attempts = diary(crew)
    assert (attempts["raise"], attempts["die"]) == (3, 3)


def test_a_worker_that_is_killed(crew):
    """Its evaluation is done by another; each process is prepared once."""
    with dask_cluster.local_cluster(2, 1) as client:
        farm = dask_farm.DaskFarm(client, crew)
        run_all(farm, {0: "a", 1: "b", 2: "c", 3: "d"})
        victims = {int(line) for line in (crew.diary.parent / "prepared").read_text().split()}
        for number in range(40):
            farm.submit(number, f"x{number}")
        os.kill(victims.pop(), signal.SIGKILL)
        done = [farm.next() for _ in range(40)]
        farm.close()
    assert sorted(one.number for one in done) == list(range(40))
    assert all(one.result == f"X{one.number}" for one in done)
    prepared = (crew.diary.parent / "prepared").read_text().split()
    assert len(prepared) == len(set(prepared))


def test_work_that_cannot_begin_ends_the_search_and_other_versions_too():
    with dask_cluster.local_cluster(1, 1) as client:
        versions = client.get_versions()
        farm = dask_farm.DaskFarm(client, unprepared)
        farm.submit(0, "a")
        with pytest.raises(InputError, match=r"^the worker at tcp://.* cannot begin: it has no supernet$"):
            farm.next()
    dask_cluster.check_versions(versions, "tcp://here:1")
    for place, one in (("scheduler", versions["scheduler"]), ("worker", *versions["workers"].values())):
        true = one["packages"]["dask"]
        one["packages"]["dask"] = "2020.1"
        with pytest.raises(
            InputError, match=rf"^the {place} at tcp://.*: ?\d+ runs Python 3.*, dask 2020.1, distributed"
        ):
            dask_cluster.check_versions(versions, "tcp://here:1")
        one["packages"]["dask"] = true


def test_workers_that_join_late_and_leave(crew, tmp_path, monkeypatch):
    """A search needs no worker to begin with, goes on while they come and go, and measures where the tag is."""
    monkeypatch.setattr(dask_cluster, "_LOOK_SECONDS", 0.05)
    scheduler_file = tmp_path / "scheduler.json"
    with processes() as start:
        scheduler = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(scheduler_file))
        while not scheduler_file.exists() or not scheduler_file.read_text().endswith("}"):
            assert scheduler.poll() is None
            time.sleep(0.02)
        address = json.loads(scheduler_file.read_text())["address"]
        with dask_cluster.connected(address) as client:
            farm = dask_farm.DaskFarm(client, crew)
            assert (farm.workers, farm.capacity) == (0, 2)
            farm.submit(0, "a")
            first = start("worker", address, "--nthreads", "1", "--resources", "edge=1")
            assert farm.next() == Done(0, "A")
            assert farm.workers == 1
            with pytest.raises(InputError, match=r"^no worker of this cluster has the tag 'other'; start one"):
                dask_cluster.run_tagged(client, "other", whose, tmp_path / "tags")

            start("worker", address, "--nthreads", "1")
            while farm.workers < 2:
                time.sleep(0.02)
            measured = {dask_cluster.run_tagged(client, "edge", whose, tmp_path / "tags") for _ in range(4)}
            assert len(measured) == 1
            for number in range(1, 20):
                farm.submit(number, f"x{number}")
            assert farm.next().result
            first.terminate()
            rest = [farm.next() for _ in range(18)]
            assert all(one.result == f"X{one.number}" for one in rest)
            first.wait(timeout=30)
            assert farm.workers == 1
            with pytest.raises(InputError, match="has the tag 'edge'"):
                dask_cluster.run_tagged(client, "edge", whose, tmp_path / "tags")
            farm.close()
        workers = {line.split()[1] for line in crew.diary.read_text().splitlines()}
        assert len(workers) == 2
        assert {str(process) for process in measured} < workers
        scheduler.kill()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense"])
def test_a_scheduler_that_does_not_answer(address):
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "200ms"}),
        pytest.raises(InputError) as caught,
        dask_cluster.connected(address),
    ):
        pass
    assert str(caught.value) == (
        f"no Dask scheduler answers at {address} within 200ms; start one with `dask scheduler`, or correct `scheduler`"
    )


def test_a_server_that_is_no_scheduler():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 9)

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with (
            pytest.raises(InputError, match=f"no Dask scheduler answers at {address} "),
            dask_cluster.connected(address),
        ):
            pass
        thread.join()


INTERRUPTED = """
import time
from secateur.evaluation.dask_cluster import local_cluster
if __name__ == "__main__":
    try:
        with local_cluster(1, 1):
            print("ready", flush=True)
            time.sleep(60)
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_on_a_terminal_is_for_the_driver(tmp_path):
    """A terminal sends it to the workers too; they leave it to the driver, which ends them."""
    (tmp_path / "driver.py").write_text(INTERRUPTED)
    driver = subprocess.Popen(
        [sys.executable, str(tmp_path / "driver.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a background job may ignore it
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    os.killpg(driver.pid, signal.SIGINT)
    assert driver.communicate(timeout=60) == ("interrupted\n", "")
