"""Evaluations on the workers of a Dask cluster, which may come, go and die."""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from distributed import CancelledError, Client, KilledWorker, Worker, WorkerPlugin, as_completed, get_worker

from ..errors import InputError
from .dask_cluster import gone, use_threads, workers_of
from .farm import Done, Farm, Job, Result

ATTEMPTS = 3  # of an evaluation, until it counts as failed
PER_WORKER = 2  # evaluations under way: while one is told, the next runs


class _Workshop(WorkerPlugin):
    """What a worker process keeps; it gets it once, when it joins, and prepares it for its first evaluation.

    One evaluation runs at a time, with as many threads as Dask counts for the worker.
    """

    def __init__(self, name: str, prepare: Callable[[], Callable[[Any], Any]]) -> None:
        self.name = name
        self._prepare = prepare

    def setup(self, worker: Worker) -> None:
        self._address, self._threads = worker.address, worker.state.nthreads
        self._work: Callable[[Any], Any] | None = None
        self._turn = threading.Lock()

    def __call__(self, job: Any) -> Any:
        with self._turn:
            if self._work is None:
                self._work = self._prepared()
            use_threads(self._threads)
            return self._work(job)

    def _prepared(self) -> Callable[[Any], Any]:
        try:
            return self._prepare()
        except Exception as error:
            what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            raise InputError(f"the worker at {self._address} cannot begin: {what}") from error


def _evaluate(name: str, job: Any) -> Any:
    workshop: Any = get_worker().plugins[name]
    return workshop(job)


@dataclass
class _Flight:
    number: int
    job: Any
    attempts: int = 0
    suspect: bool = False


class DaskFarm(Farm[Job, Result]):
    """Sends evaluations to the workers of a cluster, which may come and go.

    An evaluation that raises, or whose worker is lost, is tried again, `ATTEMPTS` times in all. Dask cannot tell which
    of a lost worker's evaluations was running and which was queued behind it; so those of lost workers are tried again
    one after another, each the only such one under way, and none fails for the company it was in.

    Args:
        client: of the cluster.
        prepare: called once in each worker process; returns what runs an evaluation there. It and what it holds
            are sent to each worker once.
    """

    def __init__(self, client: Client, prepare: Callable[[], Callable[[Job], Result]]) -> None:
        self._client = client
        self._name = f"secateur-{uuid.uuid4().hex[:12]}"
        self._flights: dict[Any, _Flight] = {}
        self._launched = 0
        self._suspects: deque[_Flight] = deque()
        self._completed = as_completed(loop=client.loop)
        client.register_plugin(_Workshop(self._name, prepare))

    @property
    def workers(self) -> int:
        """How many worker processes there are at this moment."""
        return len(workers_of(self._client))

    @property
    def capacity(self) -> int:
        """`PER_WORKER` for each."""
        return PER_WORKER * max(1, self.workers)

    def submit(self, number: int, job: Job) -> None:
        """Send an evaluation to a worker."""
        self._launch(_Flight(number, job))

    def next(self) -> Done[Result]:
        """Wait for an evaluation that came to its end, or failed for good."""
        while True:
            self._launch_suspect()
            future = next(self._completed)
            flight = self._flights.pop(future.key)
            try:
                return Done(flight.number, future.result())
            except InputError:
                raise
            except CancelledError as error:
                raise gone(self._client) from error
            except KilledWorker as error:
                flight.attempts += error.allowed_failures + 1
                failed = flight.suspect and flight.attempts >= ATTEMPTS
                flight.suspect = True
                reason = "its worker was lost"
            except Exception as error:
                flight.attempts += 1
                failed = flight.attempts >= ATTEMPTS
                reason = f"{type(error).__name__}: {error}"
            if failed:
                return Done(flight.number, None, " ".join(reason.split()))
            if flight.suspect:
                self._suspects.append(flight)
            else:
                self._launch(flight)

    def close(self) -> None:
        """Let the workers forget what they were sent."""
        self._flights.clear()
        self._completed.clear()
        with suppress(OSError, CancelledError, ValueError, RuntimeError):
            self._client.unregister_worker_plugin(self._name)

    def _launch_suspect(self) -> None:
        if self._suspects and not any(flight.suspect for flight in self._flights.values()):
            self._launch(self._suspects.popleft())

    def _launch(self, flight: _Flight) -> None:
        self._launched += 1
        key = f"{self._name}-{self._launched}"
        self._flights[key] = flight
        self._completed.add(self._client.submit(_evaluate, self._name, flight.job, key=key, pure=False))
