"""The report of a run: a page and a picture, made from the archive and run.json."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..evaluation.archive import SEARCHED, STANDARD, SUPERNET, Archive, Evaluation
from ..evaluation.objectives import ERROR
from ..evaluation.pareto import normalised_hypervolume
from ..evaluation.report import Approach, Point, ReportFacts, StageCost, write_page, write_picture
from .latency_tables import searched_latency_table
from .rescore import COSTS, REPORT, SELECTION
from .run_folder import RunFolder

_STAGES = ("finetune", "supernet", "search", "standard")  # what pruning took is on the page of `compare`
_SPLITS = (
    "error selection: on rows held out of the training split, which the search chose on; "
    "error report: on the published validation split, looked at once for each model of the front"
)


def write_report(folder: RunFolder, archive: Archive, full_key: str) -> Path:
    """Write `report.html` and `front.png` into the run folder; return the page's path."""
    facts = report_facts(folder, archive, full_key)
    write_page(folder.path / "report.html", facts)
    write_picture(folder.path / "front.png", facts)
    return folder.path / "report.html"


def report_facts(folder: RunFolder, archive: Archive, full_key: str) -> ReportFacts:
    """Collect what a report of the run states.

    Args:
        folder: the run.
        archive: its archive.
        full_key: key of the whole network's mask.
    """
    reported = {one.model: one for one in archive.evaluations(split=REPORT, weights=SEARCHED)}
    fronts = [archive.front((ERROR, cost), weights=weights) for weights in SEARCHED for cost in COSTS]
    on_front = {one.model for front in fronts for one in front}
    evaluated: dict[tuple[str, ...], Evaluation] = {}
    for one in archive.evaluations(split=SELECTION, weights=SEARCHED):
        evaluated.setdefault(one.model, one)
    points = {model: _point(one, reported.get(model), model in on_front) for model, one in evaluated.items()}
    full = next(points[full_key, weights] for weights in SEARCHED if (full_key, weights) in points)
    table = searched_latency_table(folder)
    record = folder.record
    return ReportFacts(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=record["facts"]["metric"],
        model=folder.project.model,
        space=folder.settings("supernet")["space"],
        strategy=folder.settings("supernet")["strategy"],
        full=full,
        points=tuple(points.values()),
        stages=tuple(
            StageCost(name, stage["seconds"], _note(name, stage, list(evaluated.values())))
            for name, stage in record["stages"].items()
            if name in _STAGES
        ),
        target=str(table.target),
        table_error=table.error,
        environment=record["environment"],
        splits=_SPLITS,
        hypervolumes=_hypervolumes(archive, full_key, "method"),
        approaches=_approaches(folder, archive, full_key),
        run=str(folder.path),
    )


def _approaches(folder: RunFolder, archive: Archive, full_key: str) -> tuple[Approach, ...]:
    """Return both ways to a front, if both were gone, with what only they need: fine-tuning is not counted."""
    volumes = _hypervolumes(archive, full_key, "weights")
    stages = {SUPERNET: ("supernet", "search"), STANDARD: ("standard",)}
    there = {one.weights for one in archive.evaluations(split=SELECTION, weights=SEARCHED)}
    return tuple(
        Approach(
            weights=weights,
            title={SUPERNET: "weight sharing", STANDARD: "standard NAS"}[weights],
            seconds=sum(folder.seconds(stage) for stage in stages[weights]),
            hypervolume=volumes.get(weights, math.nan),
        )
        for weights in SEARCHED
        if weights in there
    )


def _note(name: str, stage: dict[str, Any], evaluated: list[Evaluation]) -> str:
    settings = stage["settings"]
    if name == "finetune":
        return f"{settings['epochs']:g} epochs" if stage.get("trained", True) else "the model was fine-tuned already"
    if name == "supernet":
        return f"{settings['epochs']:g} epochs, {settings['strategy']}, k = {settings['k']}"
    if name == "standard":
        epochs = [int(one.values["epochs"]) for one in evaluated if one.weights == STANDARD]
        return f"moasha, {len(epochs)} candidates of up to {settings['epochs']} epochs, {sum(epochs)} in all"
    count = sum(one.weights == SUPERNET for one in evaluated)
    return f"{settings['searcher']}, budget {settings['budget']}; {count} subnetworks evaluated"


def _point(selection: Evaluation, report: Evaluation | None, on_front: bool) -> Point:
    values = selection.values
    measured = {} if report is None else report.values
    return Point(
        key=selection.key,
        method=selection.method,
        heads=selection.mask.heads_per_layer,
        neurons=selection.mask.neurons_per_layer,
        hidden=selection.mask.hidden_size,
        error_selection=values[ERROR],
        error_report=measured.get(ERROR),
        parameters=values["parameters"],
        encoder_parameters=values["encoder_parameters"],
        macs=values["macs"],
        latency_ms=values["latency_ms"],
        latency_measured_ms=measured.get("latency_ms"),
        latency_low_ms=measured.get("latency_low_ms"),
        latency_high_ms=measured.get("latency_high_ms"),
        on_front=on_front and report is not None,
        weights=selection.weights,
    )


def _hypervolumes(archive: Archive, full_key: str, by: Literal["method", "weights"]) -> dict[str, float]:
    """Return hypervolumes of (error, encoder parameters) on the selection split, between fixed bounds, by group.

    From the whole network's error (the lower one, where it has weights of both kinds) and no encoder (1) to the error
    of no encoder and the whole network's size (0), so that it does not depend on which other methods are compared.
    """
    groups: dict[str, list[tuple[float, float]]] = {}
    searched = archive.evaluations(split=SELECTION, weights=SEARCHED)
    for one in searched:
        group = one.method if by == "method" else one.weights
        groups.setdefault(group, []).append((one.values[ERROR], one.values["encoder_parameters"]))
    whole = [one for one in searched if one.key == full_key]
    empty = [one for one in searched if not one.values["encoder_parameters"]]
    if not whole or not empty:
        return {}
    ideal = np.array([min(one.values[ERROR] for one in whole), 0.0])
    reference = np.array([max(one.values[ERROR] for one in empty), whole[0].values["encoder_parameters"]])
    if not (ideal < reference).all():
        return {}
    return {name: normalised_hypervolume(np.array(rows), ideal, reference) for name, rows in groups.items()}
