"""Losses on logits: what labels teach, what a teacher teaches."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the task's loss, a scalar in float32.

    Args:
        logits: `(B, C)`; `(B, 1)` for regression.
        labels: `(B,)`, int64 for classification (cross-entropy), float for regression (mean squared error).
    """
    if labels.is_floating_point():
        return functional.mse_loss(logits.float().squeeze(1), labels.float())
    return functional.cross_entropy(logits.float(), labels)


def distillation_loss(
    logits: Tensor, teacher: Tensor, labels: Tensor, *, temperature: float = 10.0, label_weight: float = 1.0
) -> Tensor:
    """Return `label_weight * CE(s, y) + T^2 * H(softmax(t / T), softmax(s / T))`; `MSE(s, t)` for regression.

    Args:
        logits: the student's, `(B, C)`.
        teacher: the teacher's, `(B, C)`; no gradient flows into them.
        labels: `(B,)`.
        temperature: T; the paper's is 10.
        label_weight: 1 in the paper; 0 teaches subnetworks from the teacher only, as BigNAS does.

    Source: Klein et al., TMLR 2024, section 3; Hinton et al., 2015.
    """
    student, target = logits.float(), teacher.detach().float()
    if labels.is_floating_point():
        return functional.mse_loss(student, target)
    soft = functional.cross_entropy(student / temperature, torch.softmax(target / temperature, dim=1))
    loss = temperature**2 * soft
    return loss + label_weight * label_loss(logits, labels) if label_weight else loss
