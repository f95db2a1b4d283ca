"""The error of a model with weights of its own on a split: whole passes, texts sorted by length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ..supernet import Supernet
from ..supernet.heads import read_outputs
from ..tasks import Task
from ..tasks.batches import collate, sorted_batches
from ..tasks.metrics import Metric
from ..tasks.split import Split

if TYPE_CHECKING:
    from ..supernet.shipping.session import FileModel

_TOKENS_ON_CPU, _TOKENS = 3072, 16384  # padded tokens of a batch


def in_order(split: Split, outputs: np.ndarray, rows: NDArray[np.int64]) -> np.ndarray:
    """Return outputs `(R, C)` in the split's order, given those of its texts in another order, `rows` `(n,)`."""
    ordered = np.empty_like(outputs)
    ordered[split.outputs_at(rows)] = outputs
    return ordered


def model_error(
    model: PreTrainedModel, split: Split, metric: Metric, *, pad_token_id: int, dtype: torch.dtype = torch.float32
) -> float:
    """Return `1 - score`; NaN where the outputs are not numbers.

    Args:
        model: with the head of the split's task, in evaluation mode.
        split: tokenised texts with labels.
        metric: what is scored.
        pad_token_id: fills up short texts of a batch.
        dtype: precision of the passes; the weights stay as they are.
    """
    return error_of(model_outputs(model, split, pad_token_id=pad_token_id, dtype=dtype), split, metric)


def error_of(outputs: np.ndarray, split: Split, metric: Metric) -> float:
    """Return `1 - score` of outputs `(R, C)` in the split's order; NaN where they are not numbers."""
    return metric.error(outputs, split) if np.isfinite(outputs).all() else float("nan")


def constant_error(split: Split, metric: Metric) -> float:
    """Return the lowest error of an answer that is the same for all texts."""
    return min(metric.error(outputs, split) for outputs in metric.kind.constants(split))


def file_outputs(exported: FileModel, split: Split, *, pad_token_id: int) -> np.ndarray:
    """Return the outputs `(R, C)` of a loaded file in the split's order.

    In ONNX Runtime's int8 the numbers of a batch share their scales, but that a text is alone or among others made no
    difference to a fine-tuned MiniLM: off by 0.16 in quadratic mean either way.
    """
    batches = sorted_batches(split, tokens=_TOKENS_ON_CPU, pad_token_id=pad_token_id)
    outputs = [exported.outputs(batch) for batch in batches]
    return in_order(split, np.concatenate(outputs), np.concatenate([batch.index for batch in batches]))


@torch.inference_mode()
def model_outputs(
    model: PreTrainedModel, split: Split, *, pad_token_id: int, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    """Return the outputs `(R, C)` in the split's order.

    Args:
        model: with the head of the split's task, in evaluation mode.
        split: tokenised texts.
        pad_token_id: fills up short texts of a batch.
        dtype: precision of the passes; the weights stay as they are.
    """
    device = model.device
    tokens = _TOKENS_ON_CPU if device.type == "cpu" else _TOKENS
    outputs: list[np.ndarray] = []
    order: list[np.ndarray] = []
    for on_cpu in sorted_batches(split, tokens=tokens, pad_token_id=pad_token_id):
        batch = on_cpu.to(device)
        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        if batch.token_type_ids is not None:
            inputs["token_type_ids"] = batch.token_type_ids
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            outputs.append(read_outputs(model(**inputs), batch.attention_mask).float().cpu().numpy())
        order.append(batch.index)
    return in_order(split, np.concatenate(outputs), np.concatenate(order))


def few_inputs(supernet: Supernet, task: Task) -> dict[str, Tensor]:
    """Return a few texts, as a model is called with them, to check that two forms of it agree."""
    rows = np.arange(min(8, len(task.selection)))
    return collate(task.selection, rows, task.pad_token_id).to(supernet.device).inputs
