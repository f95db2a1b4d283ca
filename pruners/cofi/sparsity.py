"""Expected sparsity in closed form, and the Lagrangian that brings it to its target."""

from __future__ import annotations

import torch
from torch import Tensor

from ...errors import InputError
from ...search_space import EncoderShape
from .masks import MaskValues, open_probabilities

_TOLERANCE = 0.05  # of an expected density


def maskable_parameters(shape: EncoderShape) -> int:
    """Return M: the encoder's parameters without its LayerNorms."""
    width, inner = shape.hidden_size, shape.intermediate_size
    into = 1 + shape.gated
    biases = shape.ffn_out_biases * width + shape.ffn_in_biases * into * inner
    return shape.num_layers * (shape.num_heads * head_parameters(shape) + (1 + into) * width * inner + biases)


def head_parameters(shape: EncoderShape) -> int:
    """Return the parameters of a head: of query, key, value and output, and a share of their biases."""
    return 4 * shape.head_size * (shape.hidden_size + shape.attention_biases)


def expected_sparsity(logits: MaskValues, shape: EncoderShape) -> Tensor:
    """Return the share of the encoder's parameters that is expected to be zero, a scalar with a gradient.

    It follows from the logits, not from what was drawn. A parameter is there if all that governs it is; the biases of
    the feed-forward blocks are counted in the whole only, as in the authors' code, so that an encoder of which all is
    kept has a sparsity just above 0 (0.000542 in BERT-base).

    Args:
        logits: of the masks.
        shape: the encoder's sizes.

    Source: Xia et al., ACL 2022, section 3.3.
    """
    q = open_probabilities(logits)
    heads = (q.attention[:, None] * q.heads).sum() * (head_parameters(shape) / shape.hidden_size)
    neurons = (q.ffn[:, None] * q.neurons).sum() * (2 + shape.gated)
    return 1 - q.hidden.sum() * (heads + neurons) / maskable_parameters(shape)


def check_sparsity(sparsity: float, density: float) -> None:
    """Refuse masks that did not come to where they were to go: what is left to adjust must be little.

    Args:
        sparsity: the expected one.
        density: what was asked for.

    Raises:
        InputError: they are further from each other than 0.05.
    """
    if not abs(1 - sparsity - density) <= _TOLERANCE:  # a NaN must not pass
        raise InputError(
            f"the masks are stuck at an expected density of {1 - sparsity:.3f} where {density:g} was asked for; give "
            "more steps (epochs, least_steps), a larger mask_learning_rate, or another density"
        )


class Lagrangian:
    """What keeps the expected sparsity at a target that rises.

    `l1 * (s - t) + l2 * (s - t) ** 2`: the logits descend it, the multipliers, both 0 at first, ascend it.

    Args:
        start: sparsity at first, the one masks are born with (0 in the paper: multipliers would begin by closing a gap
            in the wrong direction, for which a short training has no time).
        target: sparsity in the end.
        warmup: steps in which the target rises, linearly.
        device: where the multipliers are.

    Attributes:
        multipliers: l1 and l2, `(2,)`.

    Source: Wang et al., "Structured pruning of large language models", EMNLP 2020, section 3.3.
    """

    def __init__(self, start: float, target: float, warmup: int, device: torch.device) -> None:
        self._start, self._target, self._warmup = start, target, warmup
        self.multipliers = torch.zeros(2, device=device, requires_grad=True)

    def target(self, step: int) -> float:
        """Return the target at a step, counted from 0 where the masks begin to learn."""
        share = min(1.0, step / self._warmup) if self._warmup else 1.0
        return self._start + (self._target - self._start) * share

    def penalty(self, sparsity: Tensor, step: int) -> Tensor:
        """Return the Lagrangian's value, a scalar."""
        gap = sparsity - self.target(step)
        return (self.multipliers * torch.stack([gap, gap.square()])).sum()
