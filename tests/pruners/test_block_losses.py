"""Cuts that blocks' losses propose: the one whose outputs come closest when it is refitted."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.pruners import block_losses
from secateur.pruners.block_losses import BlockLosses
from secateur.pruners.calibration import calibration_batches
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.gates import run_model
from secateur.supernet.heads import head_of
from secateur.supernet.refit import WholeSums, refit
from secateur.tasks.kinds import KINDS
from secateur.tests.supernet.toy import toy_task


@pytest.fixture
def losses(headed):
    supernet, rng = Supernet(headed), np.random.default_rng(0)
    batches = list(calibration_batches(supernet, toy_task(60, kind_named(headed)), 60, rng, batch_size=15))
    return BlockLosses.of(WholeSums(supernet, batches, rng), rng)


def kind_named(model):
    head = head_of(model)
    return "classification" if head == "sequence-classification" else head


def kind_of(losses):
    return KINDS[kind_named(losses.target.whole.model)]


def parameters(losses):
    return lambda mask: mask.encoder_parameters(losses.target.whole.shape)


def distance(losses, mask):
    """Refitted on every other batch, judged on the others."""
    target = losses.target
    whole, kind = target.whole, kind_of(losses)
    model = extract(whole.model, mask)
    refit(model, mask, WholeSums(whole, target.batches[::2], np.random.default_rng(5)))
    far = 0.0
    for batch in target.batches[1::2]:
        with torch.no_grad():
            taught = run_model(whole.model, batch.inputs)
            far += float(kind.soft_loss(run_model(model, batch.inputs), taught, batch, 1.0)) * len(batch)
    return far


def test_it_is_within_the_budget_and_none_is_closer(losses):
    whole, cost = losses.target.whole, parameters(losses)
    kind, limit = kind_of(losses), 0.3 * whole.shape.encoder_parameters
    others = [SubnetMask.from_counts(whole.shape, [1, n, 1], [n, 2, 3]) for n in range(1, 4)]
    best = losses.best_cut(cost, limit, whole.model, kind, np.random.default_rng(2), also=others)
    assert cost(best) <= limit
    own = distance(losses, best)
    optimum = losses.allocations(cost).best(limit)
    like = [losses.errors.mask(np.array([1, n, n, 2, 1, 3])) for n in range(1, 4)]
    assert cost(like[0]) <= limit
    for mask in (optimum, *like):
        if cost(mask) <= limit:
            assert own <= distance(losses, mask) * (1 + 1e-3)


def test_what_a_search_found_is_taken_where_losses_mislead(losses):
    """Losses that say that no head matters."""
    whole, cost = losses.target.whole, parameters(losses)
    kind, limit = kind_of(losses), 0.75 * whole.shape.encoder_parameters
    wrong = replace(losses, layers=[replace(one, by_heads=one.by_heads * 0) for one in losses.layers])
    good = SubnetMask.from_counts(whole.shape, [3, 3, 3], [17, 17, 17])
    assert cost(good) <= limit
    misled = wrong.best_cut(cost, limit, whole.model, kind, np.random.default_rng(2))
    found = wrong.best_cut(cost, limit, whole.model, kind, np.random.default_rng(2), also=[good])
    assert not misled.heads.any()
    like = losses.errors.mask(np.array([3, 17] * 3))
    assert found == min(misled, like, key=lambda mask: distance(losses, mask))
    assert found == like or whole.model.config.model_type == "roberta"  # whose heads hardly matter before training


def num_blocks(mask):
    return mask.heads.any(1).sum() + mask.neurons.any(1).sum()


def test_blocks_that_stand_in_for_each_other_are_not_all_dropped(losses):
    """Losses that say that any block may go: each may, where others do what it does, but not all of them."""
    whole, cost = losses.target.whole, parameters(losses)
    limit = 0.4 * whole.shape.encoder_parameters

    def cheap(loss):
        return np.concatenate([loss[:1] / 64, loss[1:]])

    layers = [
        replace(one, by_heads=cheap(one.by_heads), by_neurons=cheap(one.by_neurons), dropped=one.dropped / 64)
        for one in losses.layers
    ]
    wrong = replace(losses, layers=layers)
    misled, right = (of.allocations(cost).best(limit) for of in (wrong, losses))
    assert num_blocks(misled) < num_blocks(right)
    best = wrong.best_cut(cost, limit, whole.model, kind_of(losses), np.random.default_rng(2))
    assert distance(losses, best) <= min(distance(losses, right), distance(losses, misled)) * (1 + 1e-3)


def test_when_the_time_is_over_the_first_cut_is_taken_unseen(losses, monkeypatch):
    whole, cost = losses.target.whole, parameters(losses)
    limit, rng = 0.5 * whole.shape.encoder_parameters, np.random.default_rng(2)
    monkeypatch.setattr(block_losses._Judge, "__call__", lambda *_: pytest.fail("there is no time for it"))
    found = losses.best_cut(cost, limit, whole.model, kind_of(losses), rng, until=time.monotonic())
    assert cost(found) <= limit
    assert found == losses.allocations(cost, block_losses.DEAREST).best(limit)


def test_a_budget_that_nothing_keeps_is_refused(losses):
    whole = losses.target.whole
    with pytest.raises(InputError, match="the smallest allocation costs"):
        losses.best_cut(parameters(losses), 1.0, whole.model, KINDS["classification"], np.random.default_rng(0))
