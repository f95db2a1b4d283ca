"""The archive's models as the report's points: searched, pruned, recovered and trained by a method's own recipe."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import REPORT, SELECTION, WHOLE, Evaluation
from ...evaluation.model import model_of
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.pareto import is_front
from ...evaluation.report.facts import Point
from ...evaluation.weights import ONE_PER_MASK, Layer, Weights
from ...search_space import EncoderShape
from ..comparison import Equal
from ..model import model_name
from ..recipes import label


def reported_points(archive: Archive, shape: EncoderShape, equal: Equal) -> tuple[Point, ...]:
    """Return every model of the run once for each method that found it, in the order they were evaluated.

    Args:
        archive: the run's.
        shape: of the whole encoder.
        equal: the refit and the recovery that are shown; models after others are left out, as is the
            whole model itself.
    """
    rows = archive.evaluations(split=SELECTION)
    report = {one.model: one for one in archive.evaluations(split=REPORT)}
    on_front = {
        one.model for weights in ONE_PER_MASK for one in _fronts([one for one in rows if one.weights == weights])
    }
    found: dict[tuple[str, ...], Point] = {}
    for one in rows:
        if one.method == WHOLE or not equal.shows(one):
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


def whole_points(archive: Archive, shape: EncoderShape, key: str, equal: Equal) -> dict[Layer, Point]:
    """Return, by layer, the whole model with as much training as that layer's others; the untrained one's comes first.

    Without training that is the fine-tuned model where it was scored, else the whole network of the search.

    Args:
        archive: the run's.
        shape: of the whole encoder.
        key: of its mask.
        equal: the recovery that is shown.

    Raises:
        InputError: it was not evaluated yet.
    """
    report = {one.model: one for one in archive.evaluations(split=REPORT)}
    rows = [one for one in archive.evaluations(split=SELECTION) if one.key == key]
    plain = [one for one in rows if (one.method, one.weights) == (WHOLE, Weights.FINETUNED)]
    plain += [one for weights in ONE_PER_MASK for one in rows if one.weights == weights]
    if not plain:
        raise InputError(f"{archive.path} has no score of the whole network yet; run `secateur search` again")
    trained = [one for one in rows if (one.method, one.weights) == (WHOLE, Weights.RECOVERED) and equal.shows(one)]
    wholes = {Layer.NONE: plain[0]} | ({Layer.RECOVERED: trained[0]} if trained else {})
    return {layer: _point(one, report.get(one.model), shape) for layer, one in wholes.items()}


def _point(one: Evaluation, report: Evaluation | None, shape: EncoderShape, *, on_front: bool = False) -> Point:
    on_front = on_front and report is not None
    return Point(model_of(one, report), label(one), one.share(shape), model_name(one), on_front)
