"""Dask clusters: worker processes of this machine, or of many; and work for one machine of them."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    get_worker,
    wait,
)
from distributed.comm.core import connect
from distributed.versions import VersionMismatchWarning

from ..errors import InputError

# How often a caller who waits for a tagged machine looks whether one is there, and how often it may find none.
_LOOK_SECONDS, _LOOKS = 5.0, 6

_HERE = "127.0.0.1"  # whoever reaches a scheduler or a worker can run code there

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
        _script_not_run_again(),
        dask.config.set({"distributed.scheduler.http.routes": [], "distributed.worker.http.routes": []}),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host=_HERE,
            # Dask has no way to start no HTTP server at all. These have no dashboard and no routes, on a port of their
            # own choice that only this machine reaches; None would take Dask's usual port, on all interfaces.
            dashboard_address=f"{_HERE}:0",
            worker_dashboard_address=f"{_HERE}:0",
            memory_limit=0,  # Dask's default, the machine's share, would end processes that the machine has room for
            silence_logs=logging.CRITICAL,
            scheduler_kwargs={"allowed_failures": 0, "dashboard": False},  # the farm counts
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        client.register_plugin(_DeafToCtrlC())
        yield client


@contextmanager
def _script_not_run_again() -> Iterator[None]:
    """Hide the program that searches from the processes that it starts.

    Python's multiprocessing would run it once more in each of them: a script that is not written for that, with its
    calls at the top, would begin its run again there.
    """
    main = sys.modules["__main__"]
    hidden = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)


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
            "`scheduler`"
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


def use_threads(count: int) -> None:
    """Set the threads of PyTorch in this process."""
    if torch := sys.modules.get("torch"):  # where it is not, nothing uses its threads
        torch.set_num_threads(count)


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
            with client.as_current():
                wait(future, timeout=_LOOK_SECONDS)
        except TimeoutError:
            looks = 0 if _has(client, tag) else looks + 1
            continue
        except CancelledError as error:
            raise gone(client) from error
        try:
            return future.result()
        except KilledWorker as error:
            raise InputError(
                f"the workers with the tag {tag!r} were lost while they measured; give the same command again, it goes "
                "on from here"
            ) from error
    future.cancel()
    raise missing


def _with_own_threads(function: Callable[..., T], *arguments: object) -> T:
    use_threads(get_worker().state.nthreads)
    return function(*arguments)


def _has(client: Client, tag: str) -> bool:
    return any(worker["resources"].get(tag) for worker in workers_of(client).values())


def workers_of(client: Client) -> dict[str, Any]:
    """Return what the scheduler knows of its workers at this moment, by address.

    Raises:
        InputError: the scheduler is gone.
    """
    try:
        return dict(client.scheduler_info(n_workers=-1)["workers"])
    except (OSError, ValueError) as error:
        raise gone(client) from error


def gone(client: Client) -> InputError:
    """Return the error for a scheduler that does not answer any more."""
    address = client.scheduler.address if client.scheduler else "its address"
    return InputError(
        f"the Dask scheduler at {address} is gone; start it and its workers, and give the same command again: it goes "
        "on from here"
    )
