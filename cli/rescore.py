"""The front, looked at once more: its error on the report split, its latency measured end to end."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..evaluation.archive import Archive
from ..evaluation.choice import Answers
from ..evaluation.evaluation import SEARCHED, STANDARD, Evaluation
from ..evaluation.latency import INT8, LatencyTable, LatencyTarget, measure
from ..evaluation.model_error import model_outputs, onnx_outputs
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import check_extracted, extract
from ..supernet.precision import resolve_precision
from ..supernet.shipping.onnx import OnnxModel, open_onnx
from ..tasks import Task
from ..tasks.batches import collate
from ..tasks.metrics import companions
from .console import progress
from .latency_tables import OnMachine, here
from .run_folder import RunFolder
from .settings import SearchSettings
from .workspace import open_subnet, split_errors

SELECTION, REPORT = "selection", "report"  # as the archive names the splits
SCORE = "score_"  # begins the names of what other metrics say on the report split
ERROR_INT8 = "error_int8"  # on the report split, after quantisation
METHOD = "front"  # of evaluations on the report split: they choose nothing
COSTS = tuple(OBJECTIVES)


def front_models(archive: Archive, whole: str) -> list[Evaluation]:
    """Return what a search has on a front of error against one cost, of each kind of weights by itself, each once.

    Args:
        archive: where from.
        whole: key of the whole network, which comes first.
    """
    found = [archive.lookup(whole, SELECTION, weights=weights) for weights in SEARCHED]
    found += [one for weights in SEARCHED for cost in COSTS for one in archive.front((ERROR, cost), weights=weights)]
    return list({one.model: one for one in found if one is not None}.values())


def rescore(
    folder: RunFolder,
    archive: Archive,
    supernet: Supernet,
    task: Task,
    table: LatencyTable,
    settings: SearchSettings,
    on_machine: OnMachine = here,
) -> None:
    """Evaluate what is on a front and was not yet, on the report split; each model is committed as it is done.

    Args:
        folder: the run.
        archive: whose fronts; takes the results.
        supernet: where its subnetworks are cut from.
        task: its report split.
        table: its target is what models are timed for.
        settings: precision of the errors.
        on_machine: calls a function with arguments on the machine whose latency counts.
    """
    known = {one.model for one in archive.evaluations(split=REPORT)}
    models = front_models(archive, SubnetMask.full(supernet.shape).key)
    todo = [one for one in models if one.model not in known]
    if not todo:
        return
    errors = split_errors(supernet, task, task.report, settings)
    with progress("front") as tick:
        for done, one in enumerate(todo):
            begin = time.perf_counter()
            if one.weights == STANDARD:
                model, values = _own_values(folder, supernet, task, one, settings)
            else:
                model = checked(supernet, task, one.mask)
                outputs = [error.outputs(one.mask, (one.mask.depth,))[one.mask.depth] for error in errors.values()]
                costs = {name: make(supernet, table).of(one.mask) for name, make in OBJECTIVES.items()}
                values = costs | _scored(task, outputs)
            values |= quantised_error(model, task, table.target)
            values |= on_machine(timed, model.cpu(), table.target)
            seconds = time.perf_counter() - begin
            row = replace(one, x=None, method=METHOD, seed=folder.project.seed, split=REPORT, asked=True)
            archive.add([replace(row, values=values, seconds=seconds)])
            tick(done + 1, len(todo))


def _own_values(
    folder: RunFolder,
    supernet: Supernet,
    task: Task,
    one: Evaluation,
    settings: SearchSettings,
) -> tuple[PreTrainedModel, dict[str, float]]:
    """Return a model with weights of its own, and score it on the report split."""
    model = open_subnet(folder, supernet, one)
    return model, one.values | report_errors(model, task, resolve_precision(settings.precision, supernet.device))


def report_errors(model: PreTrainedModel, task: Task, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """Run a model over the report split and score it."""
    splits = task.report.values()
    outputs = [model_outputs(model, split, pad_token_id=task.pad_token_id, dtype=dtype) for split in splits]
    return _scored(task, outputs)


def quantised_error(model: PreTrainedModel, task: Task, target: LatencyTarget) -> dict[str, float]:
    """Return what is left of a model's answers on the report split once it is in int8; nothing if it is not served so.

    Args:
        model: in float32.
        task: its report split; of several data sets the errors' mean counts.
        target: says whether models are served in int8.
    """
    if target.runtime != INT8:
        return {}
    return {ERROR_INT8: onnx_errors(open_onnx(model, int8=True), task)[ERROR]}


def onnx_errors(exported: OnnxModel, task: Task) -> dict[str, float]:
    """Run an ONNX file over the report split and score it."""
    splits = task.report.values()
    return _scored(task, [onnx_outputs(exported, split, pad_token_id=task.pad_token_id) for split in splits])


def _scored(task: Task, outputs: list[np.ndarray]) -> dict[str, float]:
    """Score outputs, one array for each data set of the report split; the error is NaN where they are not numbers."""
    if not all(np.isfinite(values).all() for values in outputs):
        return {ERROR: float("nan")}
    return report_values(task, Answers.of(task.metric, outputs, list(task.report.values())))


def report_values(task: Task, answers: Answers) -> dict[str, float]:
    """Return what answers on the report split are worth.

    The error, that of each data set where there are several, `error_<name>`, and what all other metrics of the task
    say, `score_<metric>`, the mean over data sets.
    """
    values = {ERROR: answers.error()}
    if len(task.report) > 1:
        values |= {f"{ERROR}_{name}": error for name, error in zip(task.report, answers.errors(), strict=True)}
    for metric in companions(task.metric, task.num_labels):
        values[f"{SCORE}{metric.name}"] = 1.0 - replace(answers, metric=metric).error()
    return values


def other_scores(report: Evaluation) -> dict[str, float]:
    """Return what metrics other than the error's say of a model on the report split, by name."""
    return {name.removeprefix(SCORE): value for name, value in report.values.items() if name.startswith(SCORE)}


def checked(supernet: Supernet, task: Task, mask: SubnetMask) -> PreTrainedModel:
    """Extract a subnetwork, and check that it computes what the supernet's slices do.

    Raises:
        RuntimeError: extracted and sliced outputs differ: the point must not be reported.
    """
    model = extract(supernet.model, mask)
    check_extracted(model, supernet, mask, few_inputs(supernet, task))
    return model


def few_inputs(supernet: Supernet, task: Task) -> dict[str, Tensor]:
    """Return a few texts, as a model is called with them, to check that two forms of it agree."""
    rows = np.arange(min(8, len(task.selection)))
    return collate(task.selection, rows, task.pad_token_id).to(supernet.device).inputs


def timed(model: PreTrainedModel, target: LatencyTarget) -> dict[str, float]:
    """Time a model end to end; the only thing here that belongs to a machine."""
    latency = measure(model, target, seconds=2.0)
    return {"latency_ms": latency.median, "latency_low_ms": latency.low, "latency_high_ms": latency.high}
