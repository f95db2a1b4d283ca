"""Choosing one model: which candidates budgets leave, and which of them is the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .evaluation import FLIP_RATE, ROWS, Evaluation
from .objectives import ERROR, Objective
from .pareto import is_front

DEFAULT_COST = "encoder_parameters"  # orders models where no cost has a budget


@dataclass(frozen=True)
class Candidate:
    """An evaluated model and the values it is chosen by.

    Attributes:
        evaluation: on the selection split.
        values: the error and costs, as they are known without measuring.
    """

    evaluation: Evaluation
    values: dict[str, float]


def candidates(
    evaluations: Iterable[Evaluation], names: Sequence[str], objectives: Mapping[str, Objective]
) -> list[Candidate]:
    """Return each evaluated model once, without those that failed or whose error is an estimate.

    Args:
        evaluations: of the selection split.
        names: the costs that are needed.
        objectives: compute what an evaluation does not have, and the latency, which belongs to a table rather than to
            the archive.
    """
    found: dict[tuple[str, ...], Candidate] = {}
    for one in evaluations:
        if one.model in found or ROWS in one.values or np.isnan(one.values[ERROR]):
            continue
        values = {ERROR: one.values[ERROR]}
        for name in names:
            known = one.values.get(name) if name != "latency_ms" else None
            values[name] = float(objectives[name].of(one.mask)) if known is None else known
        found[one.model] = Candidate(one, values)
    return list(found.values())


def in_order(found: Sequence[Candidate], budgets: Mapping[str, float]) -> list[Candidate]:
    """Return the candidates within budgets that no other one within them beats, the best first.

    Beaten is who is worse in one of the error and the budgeted costs, and better in none. The best has the lowest
    error, of equal ones the first budgeted cost decides; where the error is the only budget, the cheapest is the best.
    """
    within = [one for one in found if all(one.values[name] <= limit for name, limit in budgets.items())]
    costs = cost_names(budgets)
    kept = [one for one, best in zip(within, is_front(_matrix(within, (ERROR, *costs))), strict=True) if best]
    keys = (costs[0], ERROR) if set(budgets) == {ERROR} else (ERROR, *costs)
    return sorted(kept, key=lambda one: tuple(one.values[name] for name in keys))


def choose(found: Sequence[Candidate], budgets: Mapping[str, float]) -> Candidate | None:
    """Return the best within budgets: the first of :func:`in_order`; None if none keeps them.

    The one rule of Secateur: `front --shares`, `pick`, `extract`, `export`, `run` and `compare` name what it names.
    """
    return next(iter(in_order(found, budgets)), None)


def nearest(found: Sequence[Candidate], budgets: Mapping[str, float]) -> Candidate:
    """Return the candidate whose largest relative excess over a budget is smallest."""
    return min(found, key=lambda one: max(one.values[name] / limit for name, limit in budgets.items()))


def neighbours(found: Sequence[Candidate], chosen: Candidate, cost: str) -> tuple[Candidate | None, Candidate | None]:
    """Return the next cheaper and the next dearer model of the front of error against a cost, None where it ends."""
    front = [one for one, best in zip(found, is_front(_matrix(found, (ERROR, cost))), strict=True) if best]
    others = sorted((one for one in front if one is not chosen), key=lambda one: one.values[cost])
    cheaper = [one for one in others if one.values[cost] < chosen.values[cost]]
    dearer = [one for one in others if one.values[cost] > chosen.values[cost]]
    return (cheaper[-1] if cheaper else None), (dearer[0] if dearer else None)


def cost_names(budgets: Mapping[str, float]) -> tuple[str, ...]:
    """Return the costs that have a budget, or the default one; of models that agree the fastest is looked for."""
    named = tuple(name for name in budgets if name not in (ERROR, FLIP_RATE))
    return named or (("latency_ms",) if FLIP_RATE in budgets else (DEFAULT_COST,))


def _matrix(found: Sequence[Candidate], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[one.values[name] for name in names] for one in found], dtype=float).reshape(-1, len(names))
