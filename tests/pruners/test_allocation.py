"""Allocations are checked against all there are, on small encoders."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.evaluation.latency.table import LatencyParts, Part
from secateur.evaluation.latency.target import LatencyTarget
from secateur.evaluation.objectives import macs
from secateur.pruners.allocation import LayerLosses, allocations
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


TARGET = LatencyTarget(machine="here", threads=1, batch_size=1, sequence_length=8)


def mask(counts):
    heads, neurons = np.reshape(counts, (-1, 2)).T
    return SubnetMask.from_counts(SHAPE, heads, neurons)


def parameters(of):
    return float(of.encoder_parameters(SHAPE))


def table():
    attention = Part(sizes=(1, 2, 4), milliseconds=(0.31, 0.32, 0.7))
    ffn = Part(sizes=(1, 8, 24), milliseconds=(0.2, 0.21, 0.9))
    return LatencyParts(
        target=TARGET, hidden_sizes=(16,), base=(0.5,), attention=(attention,), ffn=(ffn,), scale=0.9
    ).predict


def random_layers(seed, *, block_drops=False, stays=False, fine=False):
    rng = np.random.default_rng(seed)
    heads = np.array([0, 1, 3, 4] if block_drops else [1, 2, 3, 4])
    neurons = np.array([0, 1, 7, 24] if block_drops else [1, 6, 15, 24])
    neurons = np.arange(1, 25) if fine else neurons

    def falling(counts):
        return np.append(rng.random(len(counts) - 1).cumsum()[::-1], 0.0) * rng.choice([0.1, 1, 10])

    return [
        LayerLosses(heads, falling(heads), neurons, falling(neurons), np.inf if stays else rng.uniform(1, 30))
        for _ in range(3)
    ]


def all_there_are(layers, cost):
    options = []
    for layer in layers:
        pairs = [((0, 0), layer.dropped)]
        for h, by_heads in zip(layer.heads, layer.by_heads, strict=True):
            pairs += [((h, u), by_heads + v) for u, v in zip(layer.neurons, layer.by_neurons, strict=True)]
        options.append(pairs)
    found = [(np.ravel([counts for counts, _ in rows]), sum(loss for _, loss in rows)) for rows in product(*options)]
    return [(cost(mask(counts)), loss) for counts, loss in found if counts.any() and np.isfinite(loss)]


COSTS = {"parameters": parameters, "latency": table()}


@pytest.mark.parametrize("cost", COSTS.values(), ids=COSTS)
@pytest.mark.parametrize("seed", range(4))
def test_no_allocation_is_better(cost, seed):
    layers = random_layers(seed, block_drops=seed % 2 == 1, stays=seed == 2)
    found, others = allocations(layers, cost, mask), all_there_are(layers, cost)
    whole = cost(SubnetMask.full(SHAPE))
    losses = []
    for share in (0.12, 0.2, 0.35, 0.5, 0.8, 0.95, 1.0):
        limit = share * whole
        fitting = [loss for costs, loss in others if costs <= limit]
        if not fitting:
            with pytest.raises(InputError, match=r"the smallest allocation costs .* more than the .* allowed"):
                found.best(limit)
            continue
        at = found.within(limit)
        assert found.losses[at] == pytest.approx(min(fitting))
        assert cost(found.best(limit)) == found.costs[at] <= limit
        losses.append(found.losses[at])
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) > 3
    assert found.best(whole).is_full


def test_multiply_accumulates_are_sums_too(tiny_models):
    cost = macs(Supernet(tiny_models["bert"]), (5, 9)).of
    layers = random_layers(7)
    found, others = allocations(layers, cost, mask), all_there_are(layers, cost)
    for limit in np.linspace(0.2, 1, 9) * cost(SubnetMask.full(SHAPE)):
        assert found.losses[found.within(limit)] == pytest.approx(min(loss for c, loss in others if c <= limit))


@pytest.mark.parametrize("seed", range(3))
def test_with_few_remembered_budgets_hold_and_little_is_lost(seed):
    layers, most = random_layers(seed, fine=True), 60
    exact, rough = allocations(layers, parameters, mask), allocations(layers, parameters, mask, most=most)
    assert len(rough.costs) <= most + 2 < len(exact.costs)
    whole = parameters(SubnetMask.full(SHAPE))
    for share in np.linspace(0.3, 1, 15):
        at = rough.within(share * whole)
        assert parameters(rough.best(share * whole)) <= share * whole
        smaller = share * whole - 9 / most * whole
        assert rough.losses[at] <= exact.losses[exact.within(smaller)] + 1e-12


@pytest.mark.parametrize("most", [16_384, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_is_found_though_nothing_at_all_loses_less(seed, most):
    layers = [replace(layer, dropped=1e-9) for layer in random_layers(seed)]
    found, others = allocations(layers, parameters, mask, most=most), all_there_are(layers, parameters)
    least = min(cost for cost, _ in others)
    assert found.losses[found.within(least)] == pytest.approx(min(loss for cost, loss in others if cost == least))


def test_a_cost_that_is_no_sum_is_kept_all_the_same():
    def peak(of):
        return float(max(of.neurons_per_layer) + 3 * max(of.heads_per_layer))

    found = allocations(random_layers(1), peak, mask)
    for limit in (10.0, 20.0, 30.0):
        assert peak(found.best(limit)) <= limit
