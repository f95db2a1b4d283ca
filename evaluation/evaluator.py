"""Masks in, numbers out: each distinct subnetwork is run once, and one pass serves all its depths where it can.

A call is three steps, of which the second can be done by another process whose evaluator has the same splits:

    plan = evaluator.plan(mask)  # a few numbers: what is to be run, and when it may stop; None if the mask is known
    outcomes = another.run(plan)  # a few numbers too
    found = evaluator.take(plan, outcomes)
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..search_space import SubnetMask
from .error import SplitError
from .evaluation import ROWS
from .objectives import ERROR, Objective
from .racing import FrontLimits, Outcome
from .served_error import ServedError
from .spelled_errors import SpelledErrors


@dataclass(frozen=True)
class Evaluated:
    """A subnetwork's values by objective, and the seconds its own share of the pass took.

    `asked` is False for another depth that came out of the same pass.
    """

    mask: SubnetMask
    values: dict[str, float]
    seconds: float
    asked: bool

    @property
    def rows(self) -> int | None:
        """None if the error is that of all rows; else it is an estimate, which must enter no front.

        It rests on so many rows. The values hold the number too, as `ROWS`, so that an archive keeps it and
        `Evaluator(known=...)` can tell an estimate.
        """
        return int(self.values[ROWS]) if ROWS in self.values else None


@dataclass(frozen=True)
class Pass:
    """One run of a subnetwork over all splits.

    Attributes:
        mask: what to run.
        depths: after which layers its error is wanted, its own depth first.
        limits: what the error after each depth must be below to matter, if it may be raced; else None.
    """

    mask: SubnetMask
    depths: tuple[int, ...]
    limits: dict[int, float] | None


@dataclass(frozen=True)
class Outcomes:
    """What a pass brought: by split and depth, and the seconds it took."""

    of: dict[str, dict[int, Outcome]]
    seconds: float


class Evaluator:
    """Evaluates masks on a split and remembers them.

    Args:
        errors: one per data set of the split, by name; the error is their mean, and where there are several (MNLI
            reports on two) each is a value of its own, `error_<name>`.
        objectives: what else is asked, functions of the mask.
        known: values of masks evaluated before, by key: they are not run again. Estimates are told by their `ROWS`;
            they count as known only while racing.
        racing: stop what is certain to reach no front of the error and any of the objectives (see `racing`).

    Attributes:
        errors: as given.
        all_depths: a pass gives a mask's other depths as well.

    Raises:
        ValueError: racing on several data sets or on files that are served, or no data set.
    """

    def __init__(
        self,
        errors: Mapping[str, SplitError | SpelledErrors | ServedError],
        objectives: Sequence[Objective],
        *,
        known: Mapping[str, Mapping[str, float]] | None = None,
        racing: bool = False,
    ) -> None:
        if not errors:
            raise ValueError("an Evaluator needs at least one SplitError")
        if racing and len(errors) > 1:
            raise ValueError(f"racing needs one data set, got {', '.join(errors)}; evaluate them without it")
        self.errors = dict(errors)
        self.all_depths = all(one.all_depths for one in self.errors.values())
        if racing and not self.all_depths:
            raise ValueError("files that are served run whole; evaluate them without racing")
        self._objectives = list(objectives)
        self._known = {key: dict(values) for key, values in (known or {}).items() if racing or ROWS not in values}
        whole = [values for values in self._known.values() if ROWS not in values]
        self._limits = FrontLimits(self.names[1:], whole) if racing else None

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names: the order of columns that :meth:`matrix` uses by default."""
        return (ERROR, *(objective.name for objective in self._objectives))

    def __call__(self, mask: SubnetMask) -> list[Evaluated]:
        """Evaluate a mask; it comes first, then the other depths of the same pass that are new."""
        plan = self.plan(mask)
        return self.recall(mask) if plan is None else self.take(plan, self.run(plan))

    def recall(self, mask: SubnetMask) -> list[Evaluated]:
        """Return a mask that is known, as :meth:`__call__` does."""
        return [Evaluated(mask, dict(self._known[mask.key]), 0.0, asked=True)]

    def plan(self, mask: SubnetMask) -> Pass | None:
        """Return the pass that a mask needs; None if it is known."""
        if mask.key in self._known:
            return None
        cuts = {depth: mask.truncated(depth) for depth in range(mask.depth, -1, -1)} if self.all_depths else {}
        new = {mask.depth: mask} | {d: cut for d, cut in cuts.items() if cut.key not in self._known}
        limits = None if self._limits is None else {d: self._limits.of(self._costs(cut)) for d, cut in new.items()}
        return Pass(mask, tuple(new), limits)

    def run(self, plan: Pass) -> Outcomes:
        """Run a pass, of this or of another evaluator; nothing is remembered."""
        begin = time.perf_counter()
        found: dict[str, dict[int, Outcome]] = {}
        for name, one in self.errors.items():
            if plan.limits is None:
                found[name] = {depth: Outcome(e) for depth, e in one.errors(plan.mask, plan.depths).items()}
            else:
                assert not isinstance(one, ServedError)
                found[name] = one.race(plan.mask, plan.limits)
        return Outcomes(found, time.perf_counter() - begin)

    def take(self, plan: Pass, outcomes: Outcomes) -> list[Evaluated]:
        """Take a pass's results: its mask first, then the other depths, but for those that have become known since."""
        found = self.recall(plan.mask) if plan.mask.key in self._known else []
        for depth in plan.depths:
            cut = plan.mask.truncated(depth)
            if cut.key in self._known:  # or two depths that keep the same: a layer between them is dropped
                continue
            values = self._values(cut, {name: of[depth] for name, of in outcomes.of.items()})
            self._known[cut.key] = values
            if self._limits is not None and ROWS not in values:
                self._limits.add(values[ERROR], values)
            seconds = outcomes.seconds / len(plan.depths)
            found.append(Evaluated(cut, dict(values), seconds, asked=depth == plan.mask.depth))
        return found

    def _values(self, mask: SubnetMask, per_set: Mapping[str, Outcome]) -> dict[str, float]:
        values = {ERROR: float(np.mean([outcome.error for outcome in per_set.values()]))}
        if len(per_set) > 1:
            values |= {f"{ERROR}_{name}": outcome.error for name, outcome in per_set.items()}
        rows = [float(outcome.rows) for outcome in per_set.values() if outcome.rows is not None]
        return values | self._costs(mask) | ({ROWS: min(rows)} if rows else {})

    def _costs(self, mask: SubnetMask) -> dict[str, float]:
        return {objective.name: float(objective.of(mask)) for objective in self._objectives}

    def matrix(self, masks: Sequence[SubnetMask], names: Sequence[str]) -> np.ndarray:
        """Return `(n, m)` values of the named objectives, evaluating what is not known yet."""
        rows = [self(mask)[0].values for mask in masks]
        return np.array([[row[name] for name in names] for row in rows], dtype=np.float64).reshape(len(rows), -1)
