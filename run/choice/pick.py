"""The best model within budgets."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.choice import Candidate, candidates, cost_names, in_order, nearest, neighbours
from ...evaluation.evaluation import ERROR_INT8, REPORT, SEARCHED, SELECTION, STANDARD, Evaluation
from ...evaluation.latency import Latency, LatencyTable
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...supernet import Supernet
from ...tasks import Task
from ..folder import RunFolder
from ..latency import latency_table_here, searched_latency_table
from ..model import FrontPoint, own_weights
from ..project import open_supernet, open_task
from ..scores import quantised_error
from ..settings import Budgets, PickSettings
from .answer import Known
from .front import front_points
from .measured import Finalists, keep_report, report_answers

# Kinds of budgets; the neighbours are ordered by the first cost that has one.
_NAMES = ("latency_ms", "memory_mb", "disk_mb", "parameters", "encoder_parameters", "macs", "error")
# How far beyond its budget a prediction may lie for the model to be measured.
_SLACK = {"latency_ms": 1.1, "memory_mb": 1.15}
Roles = dict[str, Candidate]  # "chosen", and "cheaper" and "dearer" where there are such


def measured_choice(folder: RunFolder, archive: Archive, settings: Budgets, runtime: str | None) -> Evaluation:
    """Return what `pick` names for budgets, as it was evaluated on the selection split.

    Args:
        folder: the run.
        archive: its.
        settings: at least one budget.
        runtime: what will run the model; the search's if None.

    Raises:
        InputError: no budget, or no model within them.
    """
    budgets, table = given_budgets(settings), latency_table_here(folder, runtime)
    finalists = Finalists(folder, open_supernet(folder)[0], table)
    return _as_measured_now(folder, archive, finalists, budgets)["chosen"].evaluation


def _table(folder: RunFolder, settings: PickSettings) -> LatencyTable:
    """Return the latency table of how the model will be served.

    Raises:
        InputError: there is none, or the archive's latencies are asked for and are of another runtime.
    """
    if not settings.as_measured:
        return latency_table_here(folder, settings.runtime)
    table = searched_latency_table(folder)
    if settings.runtime not in (None, table.target.runtime):
        raise InputError(
            f"the latencies in {folder.archive} are of {table.target.runtime}, not of {settings.runtime}; leave out "
            "--as-measured and they are measured, or leave out --runtime"
        )
    return table


def given_budgets(settings: Budgets) -> dict[str, float]:
    """Return the budgets that were given, by objective.

    Raises:
        InputError: none was.
    """
    found = {name: getattr(settings, name) for name in _NAMES if getattr(settings, name) is not None}
    if not found:
        raise InputError(f"give a budget: one or more of {', '.join('--' + n.replace('_', '-') for n in _NAMES)}")
    return found


def budgets_text(settings: Budgets) -> str:
    """Write the budgets for people."""
    return " and ".join(f"{name} <= {value:g}" for name, value in given_budgets(settings).items())


def _as_measured_now(folder: RunFolder, archive: Archive, finalists: Finalists, budgets: Mapping[str, float]) -> Roles:
    """Choose by what is measured now, and measure the neighbours too."""
    supernet, table = finalists.supernet, finalists.table
    known = _candidates(folder, archive, supernet, table, cost_names(budgets))
    if "latency_ms" in budgets:
        speed = finalists.speed()
        known = [replace(one, values=one.values | {"latency_ms": one.values["latency_ms"] * speed}) for one in known]
    loose = {name: limit * _SLACK.get(name, 1.0) for name, limit in budgets.items()}
    chosen = finalists.first_within(in_order(known, loose), budgets)
    if chosen is None:
        close = nearest(known, budgets)
        exact = all(close.values[name] <= limit for name, limit in budgets.items() if name not in _SLACK)
        chosen = finalists.first_within([close], budgets) if exact else None
        if chosen is None:
            raise InputError(_nothing(finalists, close, budgets))
    roles = _around(known, chosen, cost_names(budgets)[0])
    finalists.measure(list(roles.values()))
    return roles


def _nothing(finalists: Finalists, close: Candidate, budgets: Mapping[str, float]) -> str:
    """Say that no model keeps the budgets, and what the nearest has: measured, where it can be."""
    values = dict(close.values)
    if "latency_ms" in budgets:
        finalists.measure([close])
        values["latency_ms"] = finalists.latency(close).high
    if "memory_mb" in budgets:
        values["memory_mb"] = finalists.memory(close)
    has = " and ".join(f"{name} {values[name]:.6g}" for name in budgets)
    limits = " and ".join(f"{name} <= {limit:g}" for name, limit in budgets.items())
    return f"no evaluated model keeps {limits}; the nearest is {close.evaluation.key} with {has}"


def _as_stored(
    folder: RunFolder, archive: Archive, supernet: Supernet, table: LatencyTable, settings: Budgets
) -> Roles:
    """Choose by the numbers in the archive."""
    chosen, row = choose(archive, settings)
    names = cost_names(given_budgets(settings))
    known = {(c.evaluation.key, c.evaluation.weights): c for c in _candidates(folder, archive, supernet, table, names)}
    at = row.index(chosen)
    roles = {"chosen": chosen}
    roles |= {"cheaper": row[at - 1]} if at else {}
    roles |= {"dearer": row[at + 1]} if at + 1 < len(row) else {}
    return {role: known[point.key, point.weights] for role, point in roles.items()}


def _around(known: Sequence[Candidate], chosen: Candidate, cost: str) -> Roles:
    cheaper, dearer = neighbours(known, chosen, cost)
    roles = {"chosen": chosen, "cheaper": cheaper, "dearer": dearer}
    return {role: one for role, one in roles.items() if one is not None}


def _candidates(
    folder: RunFolder, archive: Archive, supernet: Supernet, table: LatencyTable, names: Sequence[str]
) -> list[Candidate]:
    """Return all evaluated models that there are weights of.

    Raises:
        InputError: there are none.
    """
    evaluations = [
        one
        for one in archive.evaluations(split=SELECTION, weights=SEARCHED)
        if one.weights != STANDARD or (own_weights(folder) / one.key).is_dir()
    ]
    found = candidates(evaluations, names, {name: make(supernet, table) for name, make in OBJECTIVES.items()})
    if not found:
        raise InputError(f"{archive.path} is empty; run `secateur search {folder.path}` first")
    return found


def _report(
    folder: RunFolder, archive: Archive, supernet: Supernet, roles: Roles, finalists: Finalists | None
) -> dict[str, Known]:
    """Score models on the report split; what was measured now is added to the archive."""
    task, begin = open_task(folder), time.perf_counter()
    answers = report_answers(folder, supernet, task, list(roles.values()))
    quantised = {role: _quantised_error(archive, task, one, finalists) for role, one in roles.items()}
    seconds = (time.perf_counter() - begin) / len(roles)
    kept = finalists is not None and finalists.table.target.name == searched_latency_table(folder).target.name
    known = {}
    for (role, one), answered in zip(roles.items(), answers, strict=True):
        if finalists is None:
            known[role] = Known(one, answered, _stored_latency(archive, one), error_int8=quantised[role])
            continue
        if kept:  # else the archive's latencies are of another runtime
            keep_report(archive, finalists, task, one, answered, quantised[role], seconds)
        memory = finalists.memory(one) if role == "chosen" else math.nan
        known[role] = Known(one, answered, finalists.latency(one), memory, quantised[role])
    return known


def _quantised_error(archive: Archive, task: Task, one: Candidate, finalists: Finalists | None) -> float:
    """Return a model's error in int8 on the report split, computed now or as stored; NaN if it is not served so."""
    if finalists is None:
        report = archive.lookup(one.evaluation.key, REPORT, weights=one.evaluation.weights)
        return math.nan if report is None else report.values.get(ERROR_INT8, math.nan)
    return quantised_error(finalists.model(one), task, finalists.table.target).get(ERROR_INT8, math.nan)


def _stored_latency(archive: Archive, one: Candidate) -> Latency:
    report = archive.lookup(one.evaluation.key, REPORT, weights=one.evaluation.weights)
    values = {} if report is None else report.values
    median, low, high, p95 = (values.get(f"latency{part}_ms", math.nan) for part in ("", "_low", "_high", "_p95"))
    return Latency(median, low, high, median, p95, 0)


def choose(archive: Archive, settings: Budgets, weights: str | None = None) -> tuple[FrontPoint, list[FrontPoint]]:
    """Return the model that is best within the budgets, and it between its neighbours on the front; measures nothing.

    Chosen from the fronts of error against each cost that has a budget; the neighbours are those of the first cost.

    Latency is what was measured on the extracted model when the search ended, not the table's prediction. The lowest
    error on the selection split wins; where the error is the only budget, the cheapest encoder. Only models with the
    given weights count, if some are given.

    Raises:
        InputError: nothing keeps the budgets; the message names the nearest there is.
    """
    budgets, kinds = given_budgets(settings), weights or SEARCHED
    stored = {(one.key, one.weights): one.values for one in archive.evaluations(split=SELECTION, weights=kinds)}

    def value(point: FrontPoint, name: str) -> float:
        if name == ERROR:
            return point.error_selection
        own = getattr(point, name, None)
        return float(stored[point.key, point.weights][name] if own is None else own)

    costs = cost_names(budgets)
    fronts = [front_points(archive, one, weights) for one in costs]
    points = list({(point.key, point.weights): point for front in fronts for point in front}.values())
    within = [p for p in points if all(value(p, name) <= limit for name, limit in budgets.items())]
    if not within:
        close = min(points, key=lambda p: max(value(p, name) / limit for name, limit in budgets.items()))
        has = " and ".join(f"{name} {value(close, name):.6g}" for name in budgets)
        raise InputError(f"nothing on the front keeps {budgets_text(settings)}; the nearest is {close.key} with {has}")
    if set(budgets) == {ERROR}:
        chosen = min(within, key=lambda p: value(p, costs[0]))
    else:
        chosen = min(within, key=lambda p: (p.error_selection, value(p, costs[0])))
    shown = {(point.key, point.weights): point for point in (*fronts[0], chosen)}
    ordered = sorted(shown.values(), key=lambda p: value(p, costs[0]))
    at = ordered.index(chosen)
    return chosen, ordered[max(0, at - 1) : at + 2]
