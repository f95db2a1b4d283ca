"""The precision of a run's errors: how models answer while they are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from ..evaluation.error import SplitError
from ..evaluation.evaluation import ERROR_INT8
from ..evaluation.latency import LatencyTarget
from ..evaluation.model_error import file_outputs, model_outputs
from ..evaluation.objectives import ERROR
from ..evaluation.served_error import ServedError
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.shipping.engines import Engine
from ..tasks import Task
from ..tasks.split import Split
from .basis import INT8
from .scores import few_texts, int8_engine, quantised_error


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """Return what PyTorch computes in: of int8 models, what they are made of."""
    return torch.float32 if precision == INT8 else resolve_precision(precision, device)


def outputs_in(
    precision: str, model: PreTrainedModel, splits: Sequence[Split], task: Task, runtime: str
) -> list[np.ndarray]:
    """Return a model's outputs `(R, C)` on splits, one after another.

    Args:
        precision: a dtype, or int8: then the model is converted and quantised, once for all splits.
        model: in evaluation mode; left as it is.
        splits: as the model reads them.
        task: theirs.
        runtime: what models are served by.
    """
    pad, run = task.pad_token_id, _runner(precision, model, task, runtime)
    return [run(split, pad) for split in splits]


def _runner(precision: str, model: PreTrainedModel, task: Task, runtime: str) -> Callable[[Split, int], np.ndarray]:
    if precision == INT8:
        file = _engine(runtime).opened(model.float().cpu(), int8=True, texts=few_texts(task))
        return lambda split, pad: file_outputs(file, split, pad_token_id=pad)
    dtype = resolve_precision(precision, model.device)
    return lambda split, pad: model_outputs(model, split, pad_token_id=pad, dtype=dtype)


def error_in_int8(
    precision: str, values: Mapping[str, float], model: PreTrainedModel, task: Task, target: LatencyTarget
) -> dict[str, float]:
    """Return a model's error in int8 on the report split, which is its error where all errors are so.

    Args:
        precision: of the errors.
        values: what is known of the model on the report split.
        model: as `quantised_error` takes it, like task and target.
        task: its.
        target: says whether models are served in int8.
    """
    return {ERROR_INT8: values[ERROR]} if precision == INT8 else quantised_error(model, task, target)


def split_error(
    precision: str, supernet: Supernet, split: Split, task: Task, runtime: str, *, prefix_bytes: int = 0
) -> SplitError | ServedError:
    """Return what runs a supernet's subnetworks over a split.

    Args:
        precision: a dtype, or int8.
        supernet: where they are cut from.
        split: of the task.
        task: as subnetworks read it.
        runtime: what models are served by.
        prefix_bytes: as `SplitError` has it.
    """
    if precision == INT8:
        texts, pad = few_texts(task), task.pad_token_id
        return ServedError(supernet, split, task.metric, pad_token_id=pad, engine=_engine(runtime), texts=texts)
    dtype = resolve_precision(precision, supernet.device)
    return SplitError(
        supernet, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype, prefix_bytes=prefix_bytes
    )


def _engine(runtime: str) -> Engine:
    engine = int8_engine(runtime)
    assert engine is not None  # who joins a basis is refused otherwise
    return engine
