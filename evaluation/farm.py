"""Where evaluations run: here, one after another, or on workers, several at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Done(Generic[Result]):
    """An evaluation that came to its end."""

    number: int
    """What it was submitted under."""
    result: Result | None
    """None if it failed for good."""
    failure: str = ""
    """One line on why it failed."""


class Farm(ABC, Generic[Job, Result]):
    """Takes evaluations to run and gives back results as they come."""

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many worker processes there are at this moment; 0 if evaluations run in this process."""

    @property
    @abstractmethod
    def capacity(self) -> int:
        """How many evaluations should be under way at this moment, those that wait for a worker included; >= 1."""

    @abstractmethod
    def submit(self, number: int, job: Job) -> None:
        """Begin an evaluation; `number` is the caller's name for it, unused by any other under way."""

    @abstractmethod
    def next(self) -> Done[Result]:
        """Wait until one of the evaluations under way, of which there is at least one, has ended; return it.

        Raises:
            InputError: a worker, or the whole cluster, cannot do the work at all.
        """


class LocalFarm(Farm[Job, Result]):
    """Evaluates in this process, in the order of submission; what an evaluation raises is raised by :meth:`next`.

    Args:
        work: runs an evaluation.
    """

    def __init__(self, work: Callable[[Job], Result]) -> None:
        self._work = work
        self._waiting: deque[tuple[int, Job]] = deque()

    @property
    def workers(self) -> int:
        """None."""
        return 0

    @property
    def capacity(self) -> int:
        """One at a time, so that each is asked for in the light of all before it."""
        return 1

    def submit(self, number: int, job: Job) -> None:
        """Queue an evaluation."""
        self._waiting.append((number, job))

    def next(self) -> Done[Result]:
        """Evaluate the first of the queue."""
        number, job = self._waiting.popleft()
        return Done(number, self._work(job))
