"""The report of a run: a page and a picture, made from the archive and run.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation.archive import Archive, Evaluation
from ..evaluation.objectives import ERROR
from ..evaluation.pareto import normalised_hypervolume
from ..evaluation.report import Point, ReportFacts, StageCost, write_page, write_picture
from .rescore import COSTS, REPORT, SELECTION
from .run_folder import RunFolder
from .workspace import searched_latency_table

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
    reported = {one.key: one for one in archive.evaluations(split=REPORT)}
    on_front = {one.key for cost in COSTS for one in archive.front((ERROR, cost))}
    evaluated: dict[str, Evaluation] = {}
    for one in archive.evaluations(split=SELECTION):
        evaluated.setdefault(one.key, one)
    points = tuple(_point(one, reported.get(one.key), one.key in on_front) for one in evaluated.values())
    full = next(point for point in points if point.key == full_key)
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
        points=points,
        stages=tuple(
            StageCost(name, stage["seconds"], _note(name, stage, len(evaluated)))
            for name, stage in record["stages"].items()
        ),
        target=str(table.target),
        table_error=table.error,
        environment=record["environment"],
        splits=_SPLITS,
        hypervolumes=_hypervolumes(archive, full_key),
        run=str(folder.path),
    )


def _note(name: str, stage: dict[str, Any], evaluated: int) -> str:
    settings = stage["settings"]
    if name == "finetune":
        return f"{settings['epochs']:g} epochs" if stage.get("trained", True) else "the model was fine-tuned already"
    if name == "supernet":
        return f"{settings['epochs']:g} epochs, {settings['strategy']}, k = {settings['k']}"
    return f"{settings['searcher']}, budget {settings['budget']}; {evaluated} subnetworks evaluated"


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
    )


def _hypervolumes(archive: Archive, full_key: str) -> dict[str, float]:
    """Return each method's hypervolume of (error, encoder parameters) on the selection split, between fixed bounds.

    From the whole network's error and no encoder (1) to the error of no encoder and the whole network's size (0), so
    that it does not depend on which other methods are compared.
    """
    by_method: dict[str, list[tuple[float, float]]] = {}
    for one in archive.evaluations(split=SELECTION):
        by_method.setdefault(one.method, []).append((one.values[ERROR], one.values["encoder_parameters"]))
    full = archive.lookup(full_key, SELECTION)
    empty = [one for one in archive.evaluations(split=SELECTION) if not one.values["encoder_parameters"]]
    if full is None or not empty or empty[0].values[ERROR] <= full.values[ERROR]:
        return {}
    ideal = np.array([full.values[ERROR], 0.0])
    reference = np.array([empty[0].values[ERROR], full.values["encoder_parameters"]])
    return {name: normalised_hypervolume(np.array(rows), ideal, reference) for name, rows in by_method.items()}
