"""Masks in, numbers out: each distinct subnetwork is run once, and one pass serves all its depths."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..search_space import SubnetMask
from .error import SplitError
from .objectives import ERROR, Objective


@dataclass(frozen=True)
class Evaluated:
    """A subnetwork's values by objective, and the seconds its own share of the pass took.

    `asked` is False for another depth that came out of the same pass.
    """

    mask: SubnetMask
    values: dict[str, float]
    seconds: float
    asked: bool


class Evaluator:
    """Evaluates masks on a split and remembers them.

    Args:
        errors: one per data set of the split, by name; the error is their mean, and where there are several (MNLI
            reports on two) each is a value of its own, `error_<name>`.
        objectives: what else is asked, functions of the mask.
        known: values of masks evaluated before, by key: they are not run again.
    """

    def __init__(
        self,
        errors: Mapping[str, SplitError],
        objectives: Sequence[Objective],
        *,
        known: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        if not errors:
            raise ValueError("an Evaluator needs at least one SplitError")
        self._errors = dict(errors)
        self._objectives = list(objectives)
        self._known = {key: dict(values) for key, values in (known or {}).items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The objectives' names: the order of columns that :meth:`matrix` uses by default."""
        return (ERROR, *(objective.name for objective in self._objectives))

    def __call__(self, mask: SubnetMask) -> list[Evaluated]:
        """Evaluate a mask; it comes first, then the other depths of the same pass that are new."""
        if mask.key in self._known:
            return [Evaluated(mask, dict(self._known[mask.key]), 0.0, asked=True)]
        begin = time.perf_counter()
        cuts = {depth: mask.truncated(depth) for depth in range(mask.depth, -1, -1)}
        new = {mask.depth: mask} | {d: cut for d, cut in cuts.items() if cut.key not in self._known}
        per_set = {name: one.errors(mask, tuple(new)) for name, one in self._errors.items()}
        seconds = (time.perf_counter() - begin) / len(new)
        found: list[Evaluated] = []
        for depth, cut in new.items():
            if cut.key in self._known:  # two depths that keep the same: a layer between them is dropped
                continue
            values = {ERROR: float(np.mean([errors[depth] for errors in per_set.values()]))}
            if len(per_set) > 1:
                values |= {f"{ERROR}_{name}": errors[depth] for name, errors in per_set.items()}
            values |= {objective.name: float(objective.of(cut)) for objective in self._objectives}
            self._known[cut.key] = values
            found.append(Evaluated(cut, dict(values), seconds, asked=depth == mask.depth))
        return found

    def matrix(self, masks: Sequence[SubnetMask], names: Sequence[str]) -> np.ndarray:
        """Return `(n, m)` values of the named objectives, evaluating what is not known yet."""
        rows = [self(mask)[0].values for mask in masks]
        return np.array([[row[name] for name in names] for row in rows], dtype=np.float64).reshape(len(rows), -1)
