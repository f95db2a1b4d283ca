"""The error of a model with weights of its own on a split: whole passes, texts sorted by length."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from ..tasks.batches import sorted_batches
from ..tasks.task import Metric, Split

_TOKENS_ON_CPU, _TOKENS = 3072, 16384  # padded tokens of a batch


def model_error(
    model: PreTrainedModel, split: Split, metric: Metric, *, pad_token_id: int, dtype: torch.dtype = torch.float32
) -> float:
    """Return `1 - score`; NaN where the outputs are not numbers.

    Args:
        model: a sequence classifier in evaluation mode.
        split: tokenised texts with labels.
        metric: what is scored.
        pad_token_id: fills up short texts of a batch.
        dtype: precision of the passes; the weights stay as they are.
    """
    logits = model_logits(model, split, pad_token_id=pad_token_id, dtype=dtype)
    return metric.error(logits, split.labels) if np.isfinite(logits).all() else float("nan")


def constant_error(split: Split, metric: Metric) -> float:
    """Return the lowest error of an answer that is the same for all texts."""
    if metric.kind == "regression":
        return metric.error(np.zeros((len(split), 1)), split.labels)
    classes = np.eye(int(split.labels.max()) + 1)
    return min(metric.error(np.tile(one, (len(split), 1)), split.labels) for one in classes)


@torch.inference_mode()
def model_logits(
    model: PreTrainedModel, split: Split, *, pad_token_id: int, dtype: torch.dtype = torch.float32
) -> np.ndarray:
    """Return the outputs `(n, C)` in the split's order.

    Args:
        model: a sequence classifier in evaluation mode.
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
            outputs.append(model(**inputs).logits.float().cpu().numpy())
        order.append(batch.index)
    return np.concatenate(outputs)[np.argsort(np.concatenate(order))]
