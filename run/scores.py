"""What a model gets on the report split, and how long it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from transformers import PreTrainedModel

from ..evaluation.answers import Answers
from ..evaluation.evaluation import ERROR_INT8, SCORE
from ..evaluation.latency import RUNTIMES, Latency, LatencyTarget
from ..evaluation.latency.measure import measure
from ..evaluation.model_error import few_inputs, file_outputs, model_outputs
from ..evaluation.objectives import ERROR
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import check_extracted, extract_subnet
from ..supernet.shipping.engines import ENGINES, MOST_TEXTS, Engine
from ..supernet.shipping.session import FileModel
from ..tasks import Task
from ..tasks.batches import Batch, collate
from ..tasks.metrics import companions
from ..tasks.relations import Pairs

_LIKELY = 1.5  # times what the latency table predicts; its errors are a tenth of that
_DOUBTFUL = 3.0  # times it, of which one is told
_LOOKS = 3  # at most at a model's latency


def report_errors(model: PreTrainedModel, task: Task, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """Run a model over the report split and score it."""
    splits = task.report.values()
    outputs = [model_outputs(model, split, pad_token_id=task.pad_token_id, dtype=dtype) for split in splits]
    return score_outputs(task, outputs)


def quantised_error(model: PreTrainedModel, task: Task, target: LatencyTarget) -> dict[str, float]:
    """Return what is left of a model's answers on the report split once it is in int8; nothing if it is not served so.

    Args:
        model: in float32.
        task: its report split; of several data sets the errors' mean counts.
        target: says whether models are served in int8.
    """
    engine = int8_engine(target.runtime)
    if engine is None:
        return {}
    return {ERROR_INT8: file_errors(engine.opened(model, int8=True, texts=few_texts(task)), task)[ERROR]}


def int8_engine(runtime: str) -> Engine | None:
    """Return what runs the files of a runtime in int8; None for another runtime."""
    named = RUNTIMES[runtime]
    return ENGINES[named.engine] if named.int8 and named.engine else None


def few_texts(task: Task) -> list[Batch]:
    """Return training texts, each a batch of its own, without padding: what fixed scales of int8 are found on."""
    count = min(MOST_TEXTS, len(task.train))
    rows = np.random.default_rng(0).permutation(len(task.train))[:count]
    return [collate(task.train, row[None], task.pad_token_id) for row in rows]


def file_errors(exported: FileModel, task: Task) -> dict[str, float]:
    """Run a loaded file over the report split and score it."""
    splits = task.report.values()
    return score_outputs(task, [file_outputs(exported, split, pad_token_id=task.pad_token_id) for split in splits])


def score_outputs(task: Task, outputs: list[np.ndarray]) -> dict[str, float]:
    """Score outputs, one array for each data set of the report split; the error is NaN where they are not numbers."""
    if not all(np.isfinite(values).all() for values in outputs):
        return {ERROR: float("nan")}
    return report_values(task, Answers.of(task.metric, outputs, list(task.report.values())))


def report_values(task: Task, answers: Answers) -> dict[str, float]:
    """Return what answers on the report split are worth.

    The error, that of each data set where there are several, `error_<name>`, and what all other metrics of the task
    say, `score_<metric>`, the mean over data sets; of labels that a model has given they would say what nobody asked.
    """
    values = {ERROR: answers.error()}
    if len(task.report) > 1:
        values |= {f"{ERROR}_{name}": error for name, error in zip(task.report, answers.errors(), strict=True)}
    paired = all(isinstance(split.relations, Pairs) for split in task.report.values())
    for metric in () if task.answered else companions(task.metric, task.num_labels, task.positive):
        if metric.of_pairs and not paired:
            continue
        values[f"{SCORE}{metric.name}"] = 1.0 - replace(answers, metric=metric).error()
    return values


def checked(supernet: Supernet, task: Task, mask: SubnetMask) -> PreTrainedModel:
    """Extract a subnetwork, and check that it computes what the supernet's slices do.

    Raises:
        RuntimeError: extracted and sliced outputs differ: the point must not be reported.
    """
    model = extract_subnet(supernet, mask)
    check_extracted(model, supernet, mask, few_inputs(supernet, task))
    return model


def timed(model: PreTrainedModel, target: LatencyTarget, expected: float | None = None) -> dict[str, float]:
    """Time a model end to end; the only thing here that belongs to a machine.

    Args:
        model: may be moved and cast.
        target: what it is timed for.
        expected: milliseconds that the latency table predicts. A model that takes far longer has probably met other
            work, which can only make it slower: it is timed anew, and the least counts.
    """
    looks: list[Latency] = []
    while not looks or (expected is not None and looks[-1].median > _LIKELY * expected and len(looks) < _LOOKS):
        looks.append(measure(model, target, seconds=2.0))
    latency = min(looks, key=lambda look: look.median)
    return {"latency_ms": latency.median, "latency_low_ms": latency.low, "latency_high_ms": latency.high}


def doubtful(key: str, milliseconds: float, expected: float | None) -> str | None:
    """Return a warning of a model's time that is far above what the latency table predicts, None for any other."""
    if expected is None or milliseconds <= _DOUBTFUL * expected:
        return None
    return (
        f"warning: {key} took {milliseconds:.3g} ms, where the latency table expects {expected:.3g}: the number is "
        "doubtful if the machine was busy; `pick` measures anew"
    )
