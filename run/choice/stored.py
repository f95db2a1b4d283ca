"""Choosing by what the archive has; measures nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate, choose, cost_names, nearest, neighbours
from ...evaluation.evaluation import FLIP_RATE, REPORT, ROWS, SELECTION, Evaluation
from ...evaluation.model import Home, model_of
from ...evaluation.objectives import ERROR
from ...evaluation.weights import ONE_PER_MASK
from ..folder import RunFolder
from ..latency import searched_latency_table
from ..model import is_kept, on_report
from ..settings.choice import BUDGETS, Budgets, PickSettings
from ..telling import call_of
from .answer import Answer, Roles, budgets_text

MEASURED = ("latency_ms", "memory_mb")  # those that are held against measurements, not against what is known exactly


def known_budgets(settings: Budgets) -> dict[str, float]:
    """Return the budgets that were given, by objective; there may be none."""
    return {name: getattr(settings, name) for name in BUDGETS if getattr(settings, name) is not None}


def given_budgets(settings: Budgets) -> dict[str, float]:
    """Return the budgets that were given, by objective.

    Raises:
        InputError: none was.
    """
    found = known_budgets(settings)
    if not found:
        raise InputError(f"give a budget: one or more of {', '.join(f'`{name}`' for name in BUDGETS)}")
    return found


def nothing_within(budgets: Mapping[str, float], close: Candidate) -> InputError:
    """Return the error that says that no model keeps the budgets, and what the nearest has."""
    has = " and ".join(f"{name} {close.values[name]:.6g}" for name in budgets)
    limits = budgets_text(budgets)
    return InputError(f"no evaluated model keeps {limits}; the nearest is {close.evaluation.key} with {has}")


def shippable(folder: RunFolder, archive: Archive, weights: str | None = None) -> list[Evaluation]:
    """Return the evaluations on the selection split of all models that there are weights of.

    Raises:
        InputError: there are none.
    """
    rows = archive.evaluations(split=SELECTION, weights=weights or ONE_PER_MASK)
    found = [one for one in rows if is_kept(folder, one)]
    if not found:
        raise InputError(f"{archive.path} is empty; run {call_of(folder.path, 'search')} first")
    return found


def stored_candidates(
    folder: RunFolder, archive: Archive, budgets: Mapping[str, float], weights: str | None = None
) -> list[Candidate]:
    """Return what can be chosen by the archive's numbers: the latency is what was measured when a search ended.

    Raises:
        InputError: no model has a number for each budget.
    """
    names = cost_names(budgets)
    measured = {one.model: one.values for one in archive.evaluations(split=REPORT)} if "latency_ms" in names else {}
    found: dict[tuple[str, ...], Candidate] = {}
    for one in shippable(folder, archive, weights):
        values = one.values | {"latency_ms": measured.get(one.model, {}).get("latency_ms", math.nan)}
        values = {name: values.get(name, math.nan) for name in (ERROR, *names)}
        if ROWS not in one.values and not any(math.isnan(value) for value in values.values()):
            found.setdefault(one.model, Candidate(one, values))
    if not found:
        raise InputError(f"{archive.path} has no model with {' and '.join(names)}; `secateur pick` finds it out")
    return list(found.values())


def around(known: list[Candidate], chosen: Candidate, cost: str) -> Roles:
    """Return a model and its neighbours on the front of error over a cost, by role."""
    cheaper, dearer = neighbours(known, chosen, cost)
    roles = {"chosen": chosen, "cheaper": cheaper, "dearer": dearer}
    return {role: one for role, one in roles.items() if one is not None}


def stored_answer(
    folder: RunFolder, archive: Archive, budgets: dict[str, float], settings: PickSettings, home: Home | None
) -> Answer:
    """Choose by the numbers in the archive, whatever machine they are of."""
    if FLIP_RATE in budgets:
        raise InputError("the archive has no flip rates: models are run to find them out, so leave out `as_measured`")
    target = searched_latency_table(folder).target
    if settings.runtime not in (None, target.runtime):
        raise InputError(
            f"the latencies in {folder.archive} are of {target.runtime}, not of {settings.runtime}; leave out "
            "`as_measured` and they are measured, or leave out `runtime`"
        )
    known = stored_candidates(folder, archive, budgets)
    chosen = choose(known, budgets)
    if chosen is None:
        raise nothing_within(budgets, nearest(known, budgets))
    roles = around(known, chosen, cost_names(budgets)[0])
    models = {role: model_of(one.evaluation, on_report(archive, one.evaluation), home) for role, one in roles.items()}
    return Answer(models["chosen"], models.get("cheaper"), models.get("dearer"), budgets, target, math.nan)
