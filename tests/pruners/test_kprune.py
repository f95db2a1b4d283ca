"""K-prune's steps on tiny models; that budgets hold is in the contract of all pruners."""

import numpy as np
import pytest
import torch
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.kprune import KPrune, _best, _cut, _outputs, _Scores
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.blocks import BlockWalk, blocks
from secateur.supernet.gates import gated, run_whole
from secateur.supernet.refit import WholeSums, refit_block
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


def sums_of(supernet, texts=40):
    rng = np.random.default_rng(0)
    return WholeSums(supernet, list(calibration_batches(supernet, toy_task(), texts, rng)), rng)


def scores_of(target, kind, *, weight, seed=0):
    whole = target.whole
    walk = BlockWalk.through(whole, target.batches, SubnetMask.full(whole.shape))
    draw = torch.Generator().manual_seed(seed)
    of_all = _Scores(walk, list(blocks(whole.architecture)), target, kind, draw)
    return of_all.of(_outputs(whole, target.batches), weight)


def test_nothing_is_cut_yet_the_first_sublayer_has_scores(tiny_models):
    """The divergence from the whole model's own predictions has no gradient there."""
    supernet, kind = Supernet(tiny_models["bert"]), toy_task().kind
    target = sums_of(supernet)
    batch = target.batches[0]
    heads = torch.ones(3, 4, requires_grad=True)
    with gated(supernet, heads, None):
        outputs = run_whole(supernet, batch.inputs)
        loss = kind.soft_loss(outputs, outputs.detach(), batch, 2.0)
        (gradient,) = torch.autograd.grad(loss, heads)  # of nothing else: the model is shared
    assert gradient.abs().max() < 1e-6
    assert all((score > 1e-6).all() for score in scores_of(target, kind, weight=0.0))


def test_the_predictive_score_is_the_squared_derivative_of_drawn_labels(tiny_models):
    """Texts' gradients by gates, with the softmax's covariance in place of draws: the mean over many of these."""
    supernet, kind = Supernet(tiny_models["roberta"]), toy_task().kind
    target = sums_of(supernet, 12)
    drawn = np.mean([scores_of(target, kind, weight=0.0, seed=seed)[0] for seed in range(300)], axis=0)
    expected = np.zeros(4)
    for batch in target.batches:
        heads = torch.ones(len(batch), 3, 4, requires_grad=True)
        with gated(supernet, heads, None):
            outputs = run_whole(supernet, batch.inputs)
        soft = torch.softmax(outputs.detach() / 2.0, 1)
        jacobian = [torch.autograd.grad(outputs[:, c].sum(), heads, retain_graph=True)[0][:, 0] for c in range(3)]
        rows = torch.stack(jacobian, 1)  # (B, C, H)
        covariance = torch.diag_embed(soft) - soft[:, :, None] * soft[:, None]
        # T^2 times the cross-entropy at temperature T has T (p - y) for its gradient.
        expected += 0.5 * 4 * torch.einsum("bch,bcd,bdh->h", rows, covariance, rows).numpy()
    np.testing.assert_allclose(drawn, expected, rtol=0.15)


def test_the_representational_score_is_what_units_give_times_their_weights(tiny_models):
    supernet, kind = Supernet(tiny_models["bert"]), toy_task().kind
    target = sums_of(supernet, 12)
    both, none = (scores_of(target, kind, weight=weight)[1] for weight in (2.0, 0.0))
    told = np.zeros(24)
    seen = []
    module = supernet.model.get_submodule(supernet.family.layer_path(0, "ffn_out"))
    handle = module.register_forward_pre_hook(lambda m, given: seen.append(given[0].detach()))
    for batch in target.batches:
        with torch.no_grad():
            supernet.model(**batch.inputs)
        told += seen.pop()[batch.real].square().sum(0).numpy()
    handle.remove()
    np.testing.assert_allclose(both - none, 2 * told * module.weight.detach().square().mean(0).numpy(), rtol=1e-3)


def test_a_sublayer_is_cut_and_refitted_before_the_next_one(headed):
    supernet = Supernet(headed)
    target, full = sums_of(supernet), SubnetMask.full(supernet.shape)
    walk = BlockWalk.through(supernet, target.batches, full)
    block = next(blocks(supernet.architecture))
    _cut(walk, block, np.array([True, False, False, True]), 4)
    assert walk.outgoing(block).shape == (16, 8)
    error = refit_block(walk, block, full, target)
    assert error.after < error.before
    assert refit_block(walk, block, full, target).before == pytest.approx(error.after, rel=1e-3)


def test_the_best_stay_and_each_block_keeps_one(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    shape, full = supernet.shape, SubnetMask.full(supernet.shape)
    pruner = KPrune()
    above = list(blocks(supernet.architecture))[2:]
    worth = [np.arange(n, dtype=float) + 100 * (i == 0) for i, n in enumerate((4, 24, 4, 24))]
    kept = {"attention": full.heads.copy(), "ffn": full.neurons.copy()}
    kept["attention"][0, 1:] = False
    least = SubnetMask.from_counts(shape, [1, 1, 1], [24, 1, 1])
    found = _best(above, worth, kept, pruner.share(shape), pruner.share(shape)(least), full.hidden)
    assert found.tolist() == [False, False, False, True]
    more = SubnetMask.from_counts(shape, [1, 3, 1], [24, 1, 1])
    found = _best(above, worth, kept, pruner.share(shape), pruner.share(shape)(more), full.hidden)
    assert found.tolist() == [False, True, True, True]
    assert _best(above, worth, kept, pruner.share(shape), 1.0, full.hidden).all()


@pytest.mark.parametrize("density", [0.3, 0.7])
def test_every_family_and_head_meets_its_budget_to_a_unit(headed, density):
    supernet = Supernet(headed)
    task = toy_task(kind={"sequence-classification": "classification"}.get(supernet.head, supernet.head))
    pruned = KPrune(texts=30).prune(supernet, task, density, np.random.default_rng(0))
    unit = (2 * 16 * 4 * 4 + 60) / supernet.shape.encoder_parameters  # no unit has more parameters than a head
    assert density - unit < pruned.density <= density
    assert pruned.mask.heads.any(axis=1).all()
    assert pruned.mask.neurons.any(axis=1).all()


def test_bfloat16():
    pruned = KPrune(texts=30).prune(
        Supernet(tiny_model("bert").bfloat16()), toy_task(), 0.5, np.random.default_rng(0)
    )  # fmt: skip
    assert {p.dtype for p in pruned.model.parameters()} == {torch.bfloat16}
    assert 0.4 < pruned.density <= 0.5
