"""The report of a run: a page and a picture, made from the archive and run.json."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.latency.table import LatencyTable
from ...evaluation.report import Approach, Comparison, ReportFacts, StageCost, write_page
from ...evaluation.report.parts import number, percent
from ...evaluation.report.stamp import is_drawn
from ...evaluation.weights import ONE_PER_MASK, Layer, Weights
from ...search_space import SubnetMask
from ...supernet.training.settings import SupernetSettings
from ..comparison import Equal, budgets_of, comparison
from ..data_facts import DataFacts, data_facts
from ..folder import RunFolder
from ..latency import searched_latency_table
from ..recipes import label
from .growth import Box, box_of, covered, growth
from .points import reported_points, whole_points

_STAGES = (
    "finetune",
    "supernet",
    "search",
    "solved",
    "solved_search",
    "standard",
)  # what pruning took is in the table of methods


def write_report(
    folder: RunFolder, archive: Archive, compared: Comparison | None = None, equal: Equal | None = None
) -> Path:
    """Write `report.html` and, if anything was searched, `front.png` into the run folder; return the page's path.

    A picture that shows just that already is left.

    Args:
        folder: the run.
        archive: its archive.
        compared: its methods at equal budgets; at those that were pruned at if None.
        equal: the refit and the recovery to show; those that there are if None.
    """
    facts = report_facts(folder, archive, compared, equal)
    page, picture = folder.path / "report.html", folder.path / "front.png"
    write_page(page, facts)
    if facts.front and not is_drawn(picture, facts):
        from ...evaluation.report import write_picture  # here: matplotlib costs more than all else

        write_picture(picture, facts)
    return page


def report_facts(
    folder: RunFolder, archive: Archive, compared: Comparison | None = None, equal: Equal | None = None
) -> ReportFacts:
    """Collect what a report of the run states; as :func:`write_report`."""
    data = data_facts(folder)
    shape = data.shape
    full = SubnetMask.full(shape)
    equal = Equal.of(archive) if equal is None else equal
    if compared is None:
        compared = comparison(folder, archive, budgets_of(archive), equal)
    points = reported_points(archive, shape, equal)
    wholes = whole_points(archive, shape, full.key, equal)
    there = [layer for layer in Layer if any(p.layer == layer for p in points)]
    searched = archive.evaluations(split=SELECTION, weights=ONE_PER_MASK)
    box = box_of(searched, full.key)
    table = searched_latency_table(folder)
    stages = folder.record["stages"]
    supernet = stages.get("supernet", {}).get("settings", {})
    return ReportFacts(
        title=f"{folder.project.task}: {folder.path.name}",
        task=folder.project.task,
        metric=folder.record["facts"]["metric"],
        model=folder.project.model,
        space=supernet.get("space") or stages.get("solved_search", {}).get("settings", {}).get("space", ""),
        strategy=supernet.get("strategy", ""),
        full=wholes[next(iter(wholes))],
        wholes=wholes,
        layers={layer: layer.label if compared is None else compared.layer_title(layer) for layer in there},
        points=points,
        stages=tuple(
            StageCost(name, stage["seconds"], _note(name, stage, searched))
            for name, stage in stages.items()
            if name in _STAGES
        ),
        target=str(table.target),
        table_error=table.error,
        table_facts=_table_facts(table),
        environment=folder.record["environment"],
        splits=_splits(data),
        hypervolumes={} if box is None else covered(searched, box, label),
        curves=() if box is None else growth(searched, box),
        approaches=_approaches(folder, searched, box),
        comparison=compared if compared is not None and len(compared.methods) > 1 else None,
        yardstick=data.yardstick,
        run=str(folder.path),
    )


def _splits(data: DataFacts) -> str:
    rows = sum(data.report_examples.values())
    return (
        f"the selection error is of {data.selection_examples:,} rows held out of the training split, which all choices "
        f"are made on; the report error is of {rows:,} rows, {data.report_origin}, looked at once for each model"
    )


def _table_facts(table: LatencyTable) -> dict[str, str]:
    known = table.accuracy
    return {
        "Largest error on these": percent(known.worst),
        "How many they were": str(known.networks),
        "Rank correlation (Kendall's tau)": number(known.tau),
        "The whole network while it was made, median and 95th percentile": (
            f"{number(known.whole_p50)} and {number(known.whole_p95)} ms"
        ),
        "How much the machine's speed varied meanwhile": percent(known.spread),
    }


def _approaches(folder: RunFolder, searched: list[Evaluation], box: Box | None) -> tuple[Approach, ...]:
    """Return both ways to a front, if both were gone, with what only they need: fine-tuning is not counted."""
    volumes = {} if box is None else covered(searched, box, lambda one: one.weights)
    there = {one.weights for one in searched}
    return tuple(
        Approach(
            weights=weights,
            seconds=sum(folder.seconds(stage) for stage in weights.stages),
            hypervolume=volumes.get(weights, math.nan),
        )
        for weights in ONE_PER_MASK
        if weights in there
    )


def _note(name: str, stage: dict[str, Any], searched: list[Evaluation]) -> str:
    settings = stage["settings"]
    if name == "finetune":
        return f"{settings['epochs']:g} epochs" if stage.get("trained", True) else "the model was fine-tuned already"
    if name == "supernet":
        length = SupernetSettings.model_validate(settings).length
        return f"{length}, {settings['strategy']}, k = {settings['k']}"
    if name == "solved":
        return f"outgoing maps from {settings['texts']} texts without labels"
    weights = {"standard": Weights.STANDARD, "solved_search": Weights.SOLVED}.get(name, Weights.SUPERNET)
    evaluated = {one.model: one for one in searched if one.weights == weights}
    if name == "standard":
        epochs = [int(one.values["epochs"]) for one in evaluated.values()]
        return f"moasha, {len(epochs)} candidates of up to {settings['epochs']} epochs, {sum(epochs)} in all"
    return f"{settings['searcher']}, budget {settings['budget']}; {len(evaluated)} subnetworks evaluated"
