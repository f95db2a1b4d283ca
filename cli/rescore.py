"""The front, looked at once more: its error on the report split, its latency measured end to end."""

from __future__ import annotations

import time

import numpy as np
import torch

from ..evaluation.archive import Archive, Evaluation
from ..evaluation.latency import LatencyTable, measure
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import check_agreement, extract
from ..tasks import Task
from ..tasks.batches import collate
from .console import progress
from .run_folder import RunFolder
from .settings import SearchSettings
from .workspace import make_evaluator

SELECTION, REPORT = "selection", "report"  # as the archive names the splits
METHOD = "front"  # of evaluations on the report split: they choose nothing
COSTS = tuple(OBJECTIVES)


def front_masks(archive: Archive, supernet: Supernet) -> list[SubnetMask]:
    """Return the masks of all fronts of error against one cost, the whole network first, each once."""
    masks = {SubnetMask.full(supernet.shape): None}
    for cost in COSTS:
        masks |= {one.mask: None for one in archive.front((ERROR, cost))}
    return list(masks)


def rescore(
    folder: RunFolder,
    archive: Archive,
    supernet: Supernet,
    task: Task,
    table: LatencyTable,
    settings: SearchSettings,
) -> None:
    """Evaluate what is on a front and was not yet, on the report split; each model is committed as it is done."""
    known = {e.key: e.values for e in archive.evaluations(split=REPORT)}
    todo = [mask for mask in front_masks(archive, supernet) if mask.key not in known]
    if not todo:
        return
    evaluator = make_evaluator(supernet, task, task.report, table, settings, {})
    with progress("front") as tick:
        for done, mask in enumerate(todo):
            begin = time.perf_counter()
            values = evaluator(mask)[0].values
            values = {**values, **measured(supernet, task, mask, table)}
            archive.add(
                [
                    Evaluation(
                        key=mask.key,
                        mask=mask,
                        x=None,
                        space=folder.settings("supernet")["space"],
                        method=METHOD,
                        seed=folder.project.seed,
                        split=REPORT,
                        values=values,
                        seconds=time.perf_counter() - begin,
                        asked=True,
                    )
                ]
            )
            tick(done + 1, len(todo))


def measured(supernet: Supernet, task: Task, mask: SubnetMask, table: LatencyTable) -> dict[str, float]:
    """Extract a subnetwork, check that it computes what the supernet's slices do, and time it end to end.

    Raises:
        RuntimeError: extracted and sliced outputs differ: the point must not be reported.
    """
    model = extract(supernet.model, mask)
    batch = collate(task.selection, np.arange(min(8, len(task.selection))), task.pad_token_id).to(supernet.device)
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if batch.token_type_ids is not None:
        inputs["token_type_ids"] = batch.token_type_ids
    with torch.inference_mode():
        check_agreement(supernet.subnet(mask)(**inputs), model(**inputs).logits)
    latency = measure(model, table.target, seconds=2.0)
    return {"latency_ms": latency.median, "latency_low_ms": latency.low, "latency_high_ms": latency.high}
