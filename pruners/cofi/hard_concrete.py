"""Hard concrete: a random number between 0 and 1 that is exactly 0 or 1 with some probability, and has a gradient.

Source: Louizos et al., "Learning sparse neural networks through L0 regularization", ICLR 2018; the constants are those
of Xia et al., ACL 2022.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LOW, HIGH, TEMPERATURE = -0.1, 1.1, 2 / 3  # gamma, zeta, beta
LARGEST = math.log(100)  # of a logit's absolute value
_SOFTNESS = 0.8  # Wang et al., EMNLP 2020
_EPSILON = 1e-6
_SHIFT = TEMPERATURE * math.log(-LOW / HIGH)  # P(z > 0) is a half at this logit, -1.5986


def open_probability(logits: Tensor) -> Tensor:
    """Return P(z > 0) of logits of any shape."""
    return torch.sigmoid(logits - _SHIFT)


def sample(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Draw z: 0 to 1, of the logits' shape.

    Args:
        logits: of any shape, on any device.
        generator: on the CPU, so that all devices draw the same.
    """
    uniform = torch.rand(logits.shape, generator=generator).clamp(_EPSILON, 1 - _EPSILON).to(logits.device)
    noise = uniform.log() - (-uniform).log1p()
    return (torch.sigmoid((noise + logits) / TEMPERATURE) * (HIGH - LOW) + LOW).clamp(0.0, 1.0)


def soft_value(logits: Tensor) -> Tensor:
    """Return the number that stands for z once nothing is random any more; above 0 whatever the logit."""
    return torch.sigmoid(_SOFTNESS * logits / TEMPERATURE)


def survivors(logits: Tensor) -> Tensor:
    """Return which of each group `(..., n)` are not zero once nothing is random any more: bool.

    As many as are expected to be: the smallest `round(n - sum of P(z > 0))` are zero.
    """
    double = logits.double()
    zeros = (logits.shape[-1] - open_probability(double).sum(-1, keepdim=True)).round()
    return double.argsort(dim=-1, stable=True).argsort(dim=-1) >= zeros
