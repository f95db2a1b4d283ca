"""Latency as it is served: what single requests take while others are under way, from a process that only asks."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ..tasks.batches import Batch
from .latency import LatencyTarget
from .serving import serving_command, written
from .work import LATE, Load, UnderLoad

REQUESTS = 1000  # that are timed
_FEWEST = 400  # of them where they are slow: of fewer, none above a limit would not yet mean less than 1 %
_SECONDS = 20.0  # after which the fewest do, and without a limit what there is
_STARTING = 120.0  # seconds in which a process must have loaded its model


def under_load(
    model: PreTrainedModel,
    target: LatencyTarget,
    load: Load,
    *,
    limit: float = np.inf,
    texts: Sequence[Batch] = (),
    requests: int = REQUESTS,
    seconds: float = _SECONDS,
) -> UnderLoad:
    """Serve a model in processes of its own and ask it; the process that asks does nothing else.

    Requests are batches of the target's size, of its lengths at random. They are not put together to larger batches.

    Args:
        model: any of transformers.
        target: runtime, threads of an instance, batch size, lengths, precision.
        load: how many requests come.
        limit: milliseconds; asking ends when so many took longer that it cannot be kept any more.
        texts: that int8 is calibrated on; random ones if there are none.
        requests: that are timed.
        seconds: after which fewer do.

    Raises:
        InputError: a runtime that is not installed, or a model it cannot run.
        RuntimeError: a process failed; with what it said.
    """
    rng = np.random.default_rng(0)
    answers: _Answers = queue.SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        opened = written(model, target, Path(folder), list(texts))
        sizes = [(target.batch_size, length) for length in target.request_lengths]
        command = serving_command(opened, sizes, threads=target.threads, answer=True)
        servers = [stack.enter_context(_server(command, answers)) for _ in range(load.instances)]
        try:
            for _ in servers:
                _next(answers, _STARTING)
        except queue.Empty:
            raise RuntimeError(f"a process that serves a model was not ready after {_STARTING:g} s") from None
        return _asked(servers, answers, load, len(sizes), limit, requests, seconds, rng)


class _Server:
    """A process that serves, one request at a time, and the thread that waits for it.

    Args:
        process: it.
        said: what it writes to standard error.
        answers: where its answers go; a first one says that it has loaded its model.
    """

    def __init__(self, process: subprocess.Popen[bytes], said: Path, answers: _Answers) -> None:
        self._process, self._said, self._answers = process, said, answers
        self._requests: queue.SimpleQueue[tuple[int, float] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def ask(self, size: int, due: float) -> None:
        """Send a request of a size, by its position, that was due at a moment."""
        self._requests.put((size, due))

    def end(self) -> None:
        """Stop the process; a request under way is not answered."""
        self._process.kill()
        self._requests.put(None)
        self._thread.join()
        self._process.communicate()

    def _serve(self) -> None:
        asks, answers = self._process.stdin, self._process.stdout
        assert asks is not None
        assert answers is not None
        due = time.perf_counter()
        while answers.readline():
            self._answers.put((self, due, time.perf_counter()))
            request = self._requests.get()
            if request is None:
                return
            size, due = request
            try:
                asks.write(b"%d\n" % size)
            except OSError:  # it has ended
                break
        self._process.wait()
        said = self._said.read_text().strip()[-500:]
        self._answers.put(RuntimeError(f"a process that serves a model failed: {said}"))


_Answers = queue.SimpleQueue[tuple[_Server, float, float] | RuntimeError]  # who, since when it was due, and when


@contextmanager
def _server(command: list[str], answers: _Answers) -> Iterator[_Server]:
    with tempfile.TemporaryDirectory() as folder, (said := Path(folder) / "said").open("wb") as errors:
        pipe = subprocess.PIPE
        server = _Server(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=errors, bufsize=0), said, answers)
        try:
            yield server
        finally:
            server.end()


def _next(answers: _Answers, seconds: float | None) -> tuple[_Server, float, float]:
    """Return the next answer.

    Raises:
        queue.Empty: there is none within so many seconds.
        RuntimeError: a process failed.
    """
    found = answers.get(timeout=seconds)
    if isinstance(found, RuntimeError):
        raise found
    return found


def _asked(
    servers: Sequence[_Server],
    answers: _Answers,
    load: Load,
    sizes: int,
    limit: float,
    requests: int,
    seconds: float,
    rng: np.random.Generator,
) -> UnderLoad:
    """Ask until enough is known; the first requests, which find idle servers, do not count."""
    free, waiting, taken = deque(servers), deque[float](), list[float]()
    warm, fewest = 2 * max(load.concurrency, len(servers)), _FEWEST if limit < np.inf else 1
    answered = late = 0
    counted = begin = time.perf_counter()
    if load.rate is None:
        waiting.extend([begin] * load.concurrency)
    upcoming = np.inf if load.rate is None else begin
    while True:
        while load.rate is not None and upcoming <= time.perf_counter():
            waiting.append(upcoming)
            upcoming += rng.exponential(1 / load.rate)
        while free and waiting:
            free.popleft().ask(int(rng.integers(sizes)), waiting.popleft())
        try:
            pause = None if load.rate is None else max(0.0, upcoming - time.perf_counter())
            server, due, now = _next(answers, pause)
        except queue.Empty:
            continue
        free.append(server)
        if load.rate is None:
            waiting.append(now)
        answered += 1
        if answered <= warm:
            counted = now
            continue
        taken.append((now - due) * 1e3)
        late += taken[-1] > limit
        over = len(taken) >= requests or (len(taken) >= fewest and now - counted > seconds)
        if over or late > LATE * requests:
            return UnderLoad(load, np.array(taken), len(taken) / (now - counted))
