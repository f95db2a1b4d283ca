"""The archive's models as the report's points: searched, pruned, recovered and trained by a method's own recipe."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import (
    ERROR_INT8,
    FINETUNED,
    NATIVE,
    NONZERO,
    RECOVERED,
    REPORT,
    SEARCHED,
    SELECTION,
    STANDARD,
    SUPERNET,
    SUPERNET_PRUNED,
    WHOLE,
    Evaluation,
)
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.pareto import is_front
from ...evaluation.report import comparison as layers
from ...evaluation.report.facts import Point
from ...search_space import EncoderShape
from ..model import model_name
from ..recipes import label

_LAYERS = {
    SUPERNET: layers.NONE,
    FINETUNED: layers.NONE,
    SUPERNET_PRUNED: layers.NONE,
    RECOVERED: layers.RECOVERED,
    STANDARD: layers.NATIVE,
    NATIVE: layers.NATIVE,
}

_FIELDS = {one.name for one in fields(Point)}


def reported_points(archive: Archive, shape: EncoderShape, epochs: float | None) -> tuple[Point, ...]:
    """Return every model of the run once for each method that found it, in the order they were evaluated.

    Args:
        archive: the run's.
        shape: of the whole encoder.
        epochs: of the recovery that is shown; models after another one are left out, as is the whole model itself.
    """
    rows = archive.evaluations(split=SELECTION)
    report = {one.model: one for one in archive.evaluations(split=REPORT)}
    on_front = {one.model for weights in SEARCHED for one in _fronts([one for one in rows if one.weights == weights])}
    found: dict[tuple[str, ...], Point] = {}
    for one in rows:
        if one.method == WHOLE or (one.weights == RECOVERED and one.recipe["epochs"] != epochs):
            continue
        point = _point(one, report.get(one.model), shape, on_front=one.model in on_front)
        found.setdefault((point.method, *one.model), point)
    return tuple(found.values())


def _fronts(rows: list[Evaluation]) -> list[Evaluation]:
    """Return what is on the front of the error against any cost."""
    found = []
    for cost in OBJECTIVES:
        values = np.array([(one.values[ERROR], one.values.get(cost, np.nan)) for one in rows]).reshape(-1, 2)
        found += [one for one, best in zip(rows, is_front(values), strict=True) if best]
    return found


def whole_points(archive: Archive, shape: EncoderShape, key: str, epochs: float | None) -> dict[str, Point]:
    """Return, by layer, the whole model with as much training as that layer's others; the untrained one's comes first.

    Without training that is the fine-tuned model where it was scored, else the whole network of the search.

    Args:
        archive: the run's.
        shape: of the whole encoder.
        key: of its mask.
        epochs: of the recovery that is shown.

    Raises:
        InputError: it was not evaluated yet.
    """
    report = {one.model: one for one in archive.evaluations(split=REPORT)}
    rows = [one for one in archive.evaluations(split=SELECTION) if one.key == key]
    plain = [one for one in rows if (one.method, one.weights) == (WHOLE, FINETUNED)]
    plain += [one for weights in SEARCHED for one in rows if one.weights == weights]
    if not plain:
        raise InputError(f"{archive.path} has no score of the whole network yet; run `secateur search` again")
    trained = [
        one for one in rows if (one.method, one.weights) == (WHOLE, RECOVERED) and one.recipe["epochs"] == epochs
    ]
    wholes = {layers.NONE: plain[0]} | ({layers.RECOVERED: trained[0]} if trained else {})
    return {layer: _point(one, report.get(one.model), shape) for layer, one in wholes.items()}


def _point(one: Evaluation, report: Evaluation | None, shape: EncoderShape, *, on_front: bool = False) -> Point:
    values = one.values
    reported = {} if report is None else report.values
    timed = "latency_low_ms" in reported  # otherwise what is there is the table's prediction
    zeros = NONZERO in values
    return Point(
        key=one.key,
        method=label(one),
        heads=one.mask.heads_per_layer,
        neurons=one.mask.neurons_per_layer,
        hidden=one.mask.hidden_size,
        error_selection=values[ERROR],
        error_report=reported.get(ERROR),
        kept=values[NONZERO] if zeros else one.mask.encoder_parameters(shape) / shape.encoder_parameters,
        parameters=values.get("parameters"),
        encoder_parameters=values.get("encoder_parameters"),
        macs=values.get("macs"),
        latency_ms=values.get("latency_ms"),
        memory_mb=values.get("memory_mb"),
        disk_mb=values.get("disk_mb"),
        latency_measured_ms=reported["latency_ms"] if timed else None,
        latency_low_ms=reported["latency_low_ms"] if timed else None,
        latency_high_ms=reported["latency_high_ms"] if timed else None,
        values={name: values[name] for name in OBJECTIVES if name in values and name not in _FIELDS},
        error_int8=reported.get(ERROR_INT8),
        on_front=on_front and report is not None,
        weights=one.weights,
        layer=_LAYERS[one.weights],
        zeros=zeros,
        density=one.recipe.get("density"),
        identity=model_name(one),
        extract=_options(one),
    )


def _options(one: Evaluation) -> str:
    """Return what `secateur extract RUN` needs to take this model and no other."""
    options = f"--key {one.key}"
    if one.weights == SUPERNET:
        return options
    options += f" --weights {one.weights}"
    if one.weights == STANDARD:
        return options
    density = f" --density {one.recipe['density']:g}" if "density" in one.recipe else ""
    return f"{options} --method {one.method}{density}"
