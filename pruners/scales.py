"""Scales for the units that are left, so that each block gives what it gave before: least squares, layer by layer.

Source: Kwon et al., "A fast post-training pruning framework for transformers", NeurIPS 2022, mask tuning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.blocks import BlockWalk, blocks
from ..supernet.extraction import extract, kept_layers
from ..tasks.batches import Batch

_LARGEST = 10.0  # a block whose scales are beyond it is not trusted and stays as it is
# On SST-2 at a density of 0.4, 1e-4 to 0.1 hardly differ; larger ones only spare the largest scales.
DAMPING = 1e-2
# On SST-2 with one draw, four times as many brought the outputs at most 1 % closer to the whole network's (KL).
SCALE_TEXTS = 512


@dataclass(frozen=True)
class UnitScales:
    """Factors on units' outputs; 1 for those removed.

    Attributes:
        heads: `(L, H)` float64.
        neurons: `(L, F)` float64.
    """

    heads: NDArray[np.float64]
    neurons: NDArray[np.float64]


@torch.inference_mode()
def fit_scales(
    supernet: Supernet, batches: Sequence[Batch], mask: SubnetMask, teacher: SubnetMask, *, damping: float = DAMPING
) -> UnitScales:
    """Scale each block's units so that its output before LayerNorm, residual included, comes close to the teacher's.

    Blocks are fitted in order, each on what the blocks before it, already scaled, give it. Over all tokens that are
    read later (of the last layer, those that the head reads), squared differences and
    `damping * mean |unit's contribution|^2 * |scales - 1|^2` are minimised. A block whose solution is not finite or
    exceeds 10 is left alone; the authors stop there altogether. Attention of the first layer is left alone, as they
    do. No labels and no gradients are used; states of all texts, student's and teacher's, are held: 8 bytes per token
    and hidden dimension.

    Args:
        supernet: whose weights both networks use; computed in float32.
        batches: texts.
        mask: what is kept; at least one unit in each block, and all hidden dimensions.
        teacher: the same of the network to come close to.
        damping: above 0.

    Returns:
        Scales, exactly 1 if teacher and student are the same network.

    Raises:
        ValueError: a mask that drops a block, or hidden dimensions.
    """
    student_net, teacher_net = (_walk(supernet, batches, one) for one in (mask, teacher))
    heads, neurons = np.ones(mask.heads.shape), np.ones(mask.neurons.shape)
    for block in blocks(supernet.architecture):
        tuned = block.kind == "ffn" or block.layer > 0
        moments = _Moments(student_net.outgoing(block)) if tuned else None
        for i, batch in enumerate(batches):
            target, _ = teacher_net.sum_and_units(block, i)
            teacher_net.advance(block, i, target)
            if moments is not None:
                reached, units = student_net.sum_and_units(block, i)
                moments.add(units, target - reached, None if block.first_only else batch.attention_mask)
        if moments is not None:
            factors = moments.solve(supernet.shape.head_size if block.kind == "attention" else 1, damping)
            kept, scales = (mask.heads, heads) if block.kind == "attention" else (mask.neurons, neurons)
            scales[block.layer, kept[block.layer]] = factors
            weight = student_net.outgoing(block)
            by_column = np.repeat(factors, weight.shape[1] // len(factors))
            student_net.weights[f"{block.outgoing}.weight"] = weight * torch.from_numpy(by_column).to(weight)
        for i in range(len(batches)):
            student_net.advance(block, i, student_net.sum_and_units(block, i)[0])
    return UnitScales(heads, neurons)


@torch.no_grad()
def extract_scaled(supernet: Supernet, mask: SubnetMask, scales: UnitScales) -> PreTrainedModel:
    """Extract a subnetwork with its units' scales in its weights: columns of the maps that the units flow into.

    Args:
        supernet: left as it is.
        mask: what is kept.
        scales: of the units; those of removed ones are not looked at.

    Raises:
        ValueError: a mask of another encoder.
    """
    model = extract(supernet.model, mask)
    parameters = dict(model.named_parameters())
    for position, layer in enumerate(kept_layers(mask)):
        by_part = {
            "attention_output": np.repeat(scales.heads[layer, mask.heads[layer]], supernet.shape.head_size),
            "ffn_out": scales.neurons[layer, mask.neurons[layer]],
        }
        for part, factors in by_part.items():
            if len(factors):
                weight = parameters[f"{supernet.family.layer_path(position, part)}.weight"]
                weight.mul_(torch.from_numpy(factors).to(weight))
    return model


def _walk(supernet: Supernet, batches: Sequence[Batch], mask: SubnetMask) -> BlockWalk:
    if not (mask.heads.any(axis=1).all() and mask.neurons.any(axis=1).all() and mask.hidden.all()):
        raise ValueError(f"scales need a unit in every block and all hidden dimensions, got {mask}")
    return BlockWalk.through(supernet, batches, mask)


class _Moments:
    """The normal equations of one block, summed up over tokens.

    A unit (or one dimension of a head) with output h contributes h times its column w of the outgoing map, so the
    product of two contributions, summed over tokens and hidden dimensions, is `sum h_i h_j * w_i . w_j`.
    """

    def __init__(self, outgoing: Tensor) -> None:
        self._outgoing = outgoing  # (D, n)
        size, count = outgoing.shape
        self._products = outgoing.new_zeros(count, count)
        self._toward = outgoing.new_zeros(count, size)

    def add(self, units: Tensor, missing: Tensor, keep: Tensor | None) -> None:
        """Take units' outputs `(B, T, n)` and what is missing to the target, `(B, T, D)`, of tokens `(B, T)`."""
        rows, errors = (units.flatten(0, 1), missing.flatten(0, 1)) if keep is None else (units[keep], missing[keep])
        self._products.addmm_(rows.T, rows)
        self._toward.addmm_(rows.T, errors)

    def solve(self, group: int, damping: float) -> NDArray[np.float64]:
        """Return a factor for each `group` neighbouring units; ones where there is no trustworthy solution.

        What is solved for is the factors less 1, which is exactly 0 where nothing is missing.
        """
        outgoing = self._outgoing.double()
        normal = (self._products.double() * (outgoing.T @ outgoing)).cpu().numpy()
        toward = (self._toward.double() * outgoing.T).sum(1).cpu().numpy()
        count = len(toward) // group
        normal = normal.reshape(count, group, count, group).sum(axis=(1, 3))
        toward = toward.reshape(count, group).sum(axis=1)
        normal[np.diag_indices(count)] += damping * np.trace(normal) / count
        try:
            factors = 1.0 + cho_solve(cho_factor(normal), toward)
        except (LinAlgError, ValueError):  # not positive definite, or not finite
            return np.ones(count)
        return factors if (np.abs(factors) <= _LARGEST).all() else np.ones(count)
