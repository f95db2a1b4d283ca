"""The best subnetwork within a cost: which heads and how many of them, which neurons and how many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..search_space import EncoderShape, SubnetMask, UnitScores
from ..search_space.mask import BoolArray
from .base import Cost


def best_mask(
    shape: EncoderShape, scores: UnitScores, cost: Cost, limit: float, *, heads: BoolArray | None = None
) -> SubnetMask:
    """Return the mask with the largest sum of scores that costs at most `limit`.

    For each number of heads, the globally best heads and as many of the globally best neurons as fit. Each block keeps
    at least its best unit. Where every head costs the same and every neuron too, no other mask has a larger sum; for
    other costs, such as a latency table, it is the best of its kind, and never above the limit.

    Args:
        shape: the encoder.
        scores: of its units, not negative. Those that are comparable are taken as they are, others first made so.
        cost: of a mask; does not shrink when more is kept.
        limit: most it may be.
        heads: `(L, H)`, these are kept and only neurons chosen; None chooses heads too.

    Raises:
        InputError: not even one unit in each block fits.

    Source: Kwon et al., "A fast post-training pruning framework for transformers", NeurIPS 2022, Algorithm 1.
    """
    scores = scores if scores.comparable else evened(shape, scores, cost)
    head_order, neuron_order = _order(scores.heads), _order(scores.neurons)
    hidden = np.ones(shape.hidden_size, bool)

    def mask(kept_heads: BoolArray, neurons: int) -> SubnetMask:
        return SubnetMask(kept_heads, _first(neuron_order, neurons, scores.neurons.shape), hidden)

    choices = (
        [heads]
        if heads is not None
        else [_first(head_order, n, scores.heads.shape) for n in range(shape.num_layers, scores.heads.size + 1)]
    )
    best, best_sum = None, -np.inf
    most = scores.neurons.size
    for kept_heads in choices:
        if cost(mask(kept_heads, shape.num_layers)) > limit:
            break  # and with more heads all the more
        # Fits with `fitting` neurons, not with `most + 1`; more heads leave room for fewer neurons, never for more.
        fitting = shape.num_layers
        while fitting < most:
            middle = (fitting + most + 1) // 2
            if cost(mask(kept_heads, middle)) <= limit:
                fitting = middle
            else:
                most = middle - 1
        total = scores.heads[kept_heads].sum() + scores.neurons.flat[neuron_order[:fitting]].sum()
        if total >= best_sum:  # of equal ones the one with more heads: the whole network where it fits
            best, best_sum = mask(kept_heads, fitting), total
    if best is None:
        raise InputError(
            f"one unit in each block costs {cost(mask(choices[0], shape.num_layers)):g}, more than the {limit:g} "
            "allowed; allow more"
        )
    return best


def evened(shape: EncoderShape, scores: UnitScores, cost: Cost) -> UnitScores:
    """Return scores by which heads can be weighed against neurons, and layer against layer.

    Scores without a common unit say nothing about how many units of a layer, or of a kind, are needed. So each layer's
    are scaled to a norm of 1, and heads and neurons such that a unit of cost spent on the average head yields the same
    as one spent on the average neuron: neither kind is preferred just because its numbers are larger or its units
    smaller.

    Args:
        shape: the encoder.
        scores: of its units.
        cost: of a mask.
    """
    scores = scores.normalised()
    of_head, of_neuron = unit_costs(shape, cost)
    heads, neurons = scores.heads * _factor(scores.heads, of_head), scores.neurons * _factor(scores.neurons, of_neuron)
    return UnitScores(heads, neurons, comparable=True)


def _factor(scores: NDArray[np.float64], cost: float) -> float:
    mean = float(scores.mean())
    return cost / mean if mean > 0 and cost > 0 else 1.0


def unit_costs(shape: EncoderShape, cost: Cost) -> tuple[float, float]:
    """Return the mean cost of a head and of a neuron beyond the first of each block; 0 where there is none."""
    full = SubnetMask.full(shape)
    heads, neurons = [shape.num_heads] * shape.num_layers, [shape.intermediate_size] * shape.num_layers
    ones = [1] * shape.num_layers

    def mean(fewer: SubnetMask, removed: int) -> float:
        return (cost(full) - cost(fewer)) / removed if removed else 0.0

    return (
        mean(SubnetMask.from_counts(shape, ones, neurons), sum(heads) - shape.num_layers),
        mean(SubnetMask.from_counts(shape, heads, ones), sum(neurons) - shape.num_layers),
    )


def _order(scores: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return flat positions, the best unit of each layer first, then all others by score; equal ones in their order."""
    best = np.ravel_multi_index((np.arange(len(scores)), scores.argmax(axis=1)), scores.shape)
    order = np.argsort(-scores, axis=None, kind="stable")
    return np.concatenate([best, order[~np.isin(order, best)]])


def _first(order: NDArray[np.intp], count: int, shape: tuple[int, ...]) -> BoolArray:
    kept = np.zeros(shape, bool)
    kept.flat[order[:count]] = True
    return kept
