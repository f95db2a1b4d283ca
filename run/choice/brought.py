"""What the time of a run went into, and which models it brought."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.objectives import ERROR
from ...evaluation.weights import Weights
from ..folder import RunFolder
from ..model import on_report
from ..telling import duration
from .columns import Column, amount

_ENCODER = "encoder_parameters"
_HALF = 0.5  # of the encoder: the size that a search, which has models of all sizes, is judged by here

_SEARCHED = {Weights.SUPERNET: "a supernet", Weights.SOLVED: "the fine-tuned model with solved maps"}


def time_columns(folder: RunFolder, archive: Archive) -> list[Column]:
    """Return a table of what there was after how long: fine-tuning, the search, each rung of the ladder.

    Args:
        folder: the run; its record has the seconds, killed attempts included.
        archive: the run's.
    """
    passed, after, titles, models = 0.0, [], [], []
    for title, seconds, model in _done(folder, archive):
        passed += seconds
        after.append(duration(passed))
        titles.append(title)
        models.append(model)
    reports = [None if one is None else on_report(archive, one) for one in models]
    return [
        Column("after", after),
        Column("there was", titles, left=True),
        Column("encoder", [amount(None if one is None else one.values.get(_ENCODER)) for one in models]),
        Column("error, selection", [_error(one) for one in models]),
        Column("error, report", [_error(one) for one in reports]),
    ]


def _done(folder: RunFolder, archive: Archive) -> Iterator[tuple[str, float, Evaluation | None]]:
    """Return each thing that was done with its seconds and, where it brought one, the model to judge it by."""
    stages, rungs = folder.record["stages"], archive.evaluations(split=SELECTION, weights=Weights.LADDER)
    tuned = (*archive.evaluations(split=SELECTION, weights=Weights.FINETUNED), *rungs)
    yield "the fine-tuned model", folder.seconds("finetune"), next((one for one in tuned if one.mask.is_full), None)
    for weights, made in _SEARCHED.items():
        first, search = weights.stages
        if first in stages:
            yield made, folder.seconds(first), None
        if search in stages:
            best = _best_of_half(archive.evaluations(split=SELECTION, weights=weights))
            yield "a front of its subnetworks, here the best with half", folder.seconds(search), best
    rungs = sorted((one for one in rungs if not one.mask.is_full), key=lambda one: -one.values[_ENCODER])
    for rung in rungs:
        scored = on_report(archive, rung)
        yield "a rung of the ladder", rung.seconds + (0.0 if scored is None else scored.seconds), rung


def _best_of_half(rows: Iterable[Evaluation]) -> Evaluation | None:
    rows = list(rows)
    most = _HALF * max((one.values[_ENCODER] for one in rows), default=0)
    return min((one for one in rows if one.values[_ENCODER] <= most), key=lambda one: one.values[ERROR], default=None)


def _error(one: Evaluation | None) -> str:
    return "-" if one is None else f"{one.values[ERROR]:.4f}"
