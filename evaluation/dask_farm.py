"""Evaluations on the workers of a Dask cluster: processes of this machine, or of many."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import dask.config
from distributed import (
    CancelledError,
    Client,
    KilledWorker,
    LocalCluster,
    Security,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
)
from distributed.comm.core import connect
from distributed.versions import VersionMismatchWarning

from ..errors import InputError
from .farm import Done, Farm, Job, Result

ATTEMPTS = 3  # of an evaluation, until it counts as failed
PER_WORKER = 2  # evaluations under way: while one is told, the next runs
# How often a caller who waits for a tagged machine looks whether one is there, and how often it may find none.
_LOOK_SECONDS, _LOOKS = 5.0, 6

T = TypeVar("T")


@contextmanager
def local_cluster(workers: int, threads: int) -> Iterator[Client]:
    """Start worker processes on this machine, and stop them at the end.

    Args:
        workers: how many.
        threads: of PyTorch in each.
    """
    with (
        _quiet(),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            dashboard_address=":0",  # None would take Dask's usual port
            memory_limit=0,  # Dask's default, the machine's share, would end processes that the machine has room for
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"allowed_failures": 0},  # the farm counts
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_DeafToCtrlC())
        yield client


class _DeafToCtrlC(WorkerPlugin):
    """Leaves Ctrl-C, which a terminal sends to all of its processes, to the one that started the workers."""

    def setup(self, worker: Worker) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def connected(address: str) -> Iterator[Client]:
    """Connect to a cluster's scheduler; Dask's setting `distributed.comm.timeouts.connect` says how long to try.

    Args:
        address: such as `tcp://host:8786`.

    Raises:
        InputError: nothing answers there, or it runs other versions.
    """
    with _quiet():
        _probe(address)
        with Client(address, set_as_default=False) as client:
            check_versions(client.get_versions(), address)
            yield client


def _probe(address: str) -> None:
    """Refuse an address before a Client does, which would try for another minute to close what it never opened."""

    async def shake_hands() -> None:
        comm = await connect(address, **Security().get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(shake_hands())
    except Exception as error:  # such as running out of memory on what a web server answers
        limit = dask.config.get("distributed.comm.timeouts.connect")
        raise InputError(
            f"no Dask scheduler answers at {address} within {limit}; start one with `dask scheduler`, or correct "
            "--scheduler"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own log, which tells of each worker that comes or goes, from the command line."""
    logger = logging.getLogger("distributed")
    before = [(handler, handler.level) for handler in logger.handlers]
    with warnings.catch_warnings(), dask.config.set({"distributed.client.heartbeat": "1s"}):
        warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters of it is an error of ours
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # a model that is to be timed
        try:
            for handler, _ in before:
                handler.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for handler, level in before:
                handler.setLevel(level)


def check_versions(found: Any, address: str) -> None:
    """Refuse to work with processes of other versions.

    Args:
        found: what `Client.get_versions` returns.
        address: the scheduler's.

    Raises:
        InputError: the scheduler's or a worker's version of Python, dask or distributed is another.
    """
    mine = _versions(found["client"])
    others = {f"the scheduler at {address}": found["scheduler"]}
    others |= {f"the worker at {place}": one for place, one in found["workers"].items()}
    for place, one in others.items():
        if one is not None and _versions(one) != mine:
            raise InputError(
                f"{place} runs {_listed(_versions(one))}, but this is {_listed(mine)}; install the same on both"
            )


def _versions(one: dict[str, Any]) -> dict[str, str]:
    """Return what must be equal for two processes to understand each other."""
    packages = one["packages"]
    python = ".".join(str(packages["python"]).split(".")[:2])
    return {"Python": python, "dask": packages["dask"], "distributed": packages["distributed"]}


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


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
            _use_threads(self._threads)
            if self._work is None:
                self._work = self._prepared()
            return self._work(job)

    def _prepared(self) -> Callable[[Any], Any]:
        try:
            return self._prepare()
        except InputError as error:
            raise InputError(f"the worker at {self._address} cannot begin: {error}") from None
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise InputError(f"the worker at {self._address} cannot begin: {what}") from error


def _use_threads(count: int) -> None:
    if torch := sys.modules.get("torch"):  # where it is not, nothing uses its threads
        torch.set_num_threads(count)


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
        return len(_workers(self._client))

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
                raise _gone(self._client) from error
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


def run_tagged(client: Client, tag: str, function: Callable[..., T], *arguments: object) -> T:
    """Run a function on a worker that has a tag (`dask worker --resources TAG=1`); one at a time runs there.

    Raises:
        InputError: no worker has the tag, or those that had it left; and what the function raises.
    """
    missing = InputError(
        f"no worker of this cluster has the tag {tag!r}; start one on the machine whose latency counts with "
        f"`dask worker ADDRESS --nthreads N --resources {tag}=1`"
    )
    if not _has(client, tag):
        raise missing
    future = client.submit(_with_own_threads, function, *arguments, resources={tag: 1}, pure=False)
    looks = 0
    while looks < _LOOKS:
        try:
            return future.result(timeout=_LOOK_SECONDS)
        except TimeoutError:
            if future.done():  # it is the function's own
                raise
            looks = 0 if _has(client, tag) else looks + 1
        except KilledWorker as error:
            raise InputError(
                f"the workers with the tag {tag!r} were lost while they measured; give the same command again, it goes "
                "on from here"
            ) from error
        except CancelledError as error:
            raise _gone(client) from error
    future.cancel()
    raise missing


def _with_own_threads(function: Callable[..., T], *arguments: object) -> T:
    _use_threads(get_worker().state.nthreads)
    return function(*arguments)


def _has(client: Client, tag: str) -> bool:
    return any(worker["resources"].get(tag) for worker in _workers(client).values())


def _workers(client: Client) -> dict[str, Any]:
    try:
        return dict(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, ValueError) as error:
        raise _gone(client) from error


def _gone(client: Client) -> InputError:
    address = client.scheduler.address if client.scheduler else "its address"
    return InputError(
        f"the Dask scheduler at {address} is gone; start it and its workers, and give the same command again: it goes "
        "on from here"
    )
