"""A 99th percentile that a model is to keep under load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from ...errors import InputError
from ...evaluation.work import Load, UnderLoad
from ..settings.choice import LoadSettings, PickSettings


@dataclass(frozen=True)
class Promise:
    """At most 1 % of requests take longer than so many milliseconds.

    Attributes:
        p99_ms: milliseconds.
        load: under which.
    """

    p99_ms: float
    load: Load

    @classmethod
    def of(cls, settings: PickSettings) -> Self | None:
        """Return what is asked for; None if nothing is.

        Raises:
            InputError: a load without a limit, or one that is to be kept by numbers that are stored.
        """
        told = [name for name in LoadSettings.model_fields if name in settings.model_fields_set]
        if settings.p99_ms is None:
            if told:
                raise InputError(f"`{told[0]}` is what a `p99_ms` is to be kept with; give one, or leave it out")
            return None
        if settings.as_measured:
            raise InputError("no archive has latencies under load; leave out `as_measured`, and they are measured")
        return cls(settings.p99_ms, Load(settings.concurrency, settings.rate, settings.instances))

    def within(self, budgets: Mapping[str, float]) -> dict[str, float]:
        """Return budgets with the latency of a single request without which the promise cannot be kept."""
        alone = min(self.load.service(self.p99_ms), budgets.get("latency_ms", float("inf")))
        return {"latency_ms": alone, **{name: limit for name, limit in budgets.items() if name != "latency_ms"}}

    def kept(self, found: UnderLoad) -> str:
        """Say what a model does, and how surely it keeps the promise."""
        return f"{found}; at most {found.most_late(self.p99_ms):.2%} take longer than {self.p99_ms:g} ms (95 %)"

    def __str__(self) -> str:
        return f"p99_ms <= {self.p99_ms:g} with {self.load}"
