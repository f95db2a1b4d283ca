"""What a server has to do, and what its requests take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .model import rounded

LATE = 0.01  # share of requests that may be above a 99th percentile
_SURE = 0.95  # that no more are


@dataclass(frozen=True)
class Load:
    """What a server has to do.

    Attributes:
        concurrency: requests under way at any time: each of so many clients sends the next one when it has its answer
            (a closed loop).
        rate: requests a second in place of that, at random moments, whatever is under way (an open loop).
        instances: processes that serve the model, each with as many threads as the target says; each takes the oldest
            request that waits.

    Raises:
        InputError: numbers that mean nothing.
    """

    concurrency: int = 1
    rate: float | None = None
    instances: int = 1

    def __post_init__(self) -> None:
        if min(self.concurrency, self.instances) < 1 or (self.rate is not None and not self.rate > 0):
            raise InputError(
                f"a load has a `concurrency` and `instances` of at least 1 and a `rate` above 0, got {self}; give such"
            )

    def service(self, limit: float) -> float:
        """Return how long one request alone may take at most for all together to keep a limit, in its unit.

        Necessary, not sufficient: by Little's law in a closed loop requests take in the mean `concurrency / instances`
        times as long as one alone; in an open one a server that takes longer than `instances / rate` never catches up.

        Args:
            limit: milliseconds.
        """
        if self.rate is not None:
            return min(limit, 1e3 * self.instances / self.rate)
        return limit * min(1.0, self.instances / self.concurrency)

    def __str__(self) -> str:
        what = f"{self.concurrency} at once" if self.rate is None else f"{self.rate:g} a second"
        return f"{what}, {self.instances} instance{'s' if self.instances > 1 else ''}"


@dataclass(frozen=True)
class UnderLoad:
    """What requests took, their waiting included.

    Attributes:
        load: which there was.
        milliseconds: `(n,)`, of each, in the order of their answers; since the moment it was due.
        per_second: requests answered per second.
    """

    load: Load
    milliseconds: NDArray[np.float64]
    per_second: float

    def percentile(self, percent: float) -> float:
        """Return milliseconds."""
        return float(np.percentile(self.milliseconds, percent))

    def most_late(self, limit: float) -> float:
        """Return the share of requests above a limit that there may be: the upper end of its one-sided 95 % interval.

        Source: Clopper and Pearson (1934), the exact interval of a share.
        """
        from scipy.stats import beta  # here: what is stored is read without it

        n, late = len(self.milliseconds), int((self.milliseconds > limit).sum())
        return 1.0 if late == n else float(beta.ppf(_SURE, late + 1, n - late))

    def keeps(self, limit: float) -> bool:
        """Tell whether surely at most 1 % of requests take longer than a limit."""
        return self.most_late(limit) <= LATE

    def __str__(self) -> str:
        p50, p95, p99 = (self.percentile(percent) for percent in (50, 95, 99))
        of = f"of {len(self.milliseconds)} requests, {self.per_second:.3g} a second"
        return f"with {self.load}: p50 {p50:.3g}, p95 {p95:.3g}, p99 {p99:.3g} ms {of}"

    def facts(self) -> dict[str, Any]:
        """Return what is known, JSON-ready."""
        percentiles = {f"p{percent}_ms": rounded(self.percentile(percent)) for percent in (50, 95, 99)}
        found = {"requests": len(self.milliseconds), "per_second": rounded(self.per_second)}
        return {**asdict(self.load), **percentiles, **found}
