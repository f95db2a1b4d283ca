"""Block errors are checked against refits of models that were cut out, and their orders against a search by hand."""

import numpy as np
import pytest
import torch
from secateur.pruners.block_errors import block_errors, refit_error, removal_order, unit_scores
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.sensitivity import sensitivities
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.products import unit_products
from secateur.supernet.refit import WholeSums, refit
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


def sums_of(supernet, texts=96, **arguments):
    rng = np.random.default_rng(0)
    return WholeSums(supernet, list(calibration_batches(supernet, toy_task(), texts, rng)), rng, **arguments)


def correlated(n, outputs, seed):
    """Products of outputs of which many can be made up for by others, and an outgoing map."""
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(3 * n, n, generator=generator, dtype=torch.double) @ torch.randn(
        n, n, generator=generator, dtype=torch.double
    )
    return mixed.T @ mixed, torch.randn(outputs, n, generator=generator, dtype=torch.double)


def least_missed_first(products, weight, group, damping):
    """Try each unit and solve for the others, with the same penalty: what takes out nothing step by step."""
    n = len(products)
    normal = products + damping * products.diagonal().mean() * torch.eye(n, dtype=torch.double)

    def error(units):
        kept = torch.tensor([unit * group + i for unit in units for i in range(group)], dtype=torch.long)
        change = weight.clone()
        change[:, kept] = 0
        if len(kept):
            toward = (normal @ change.T)[kept]
            change[:, kept] = -torch.linalg.solve(normal[kept][:, kept], toward).T
        return float(((change @ normal) * change).sum())

    left, order = list(range(n // group)), []
    while left:
        errors = [error([other for other in left if other != unit]) for unit in left]
        order.append(left.pop(int(np.argmin(errors))))
    return order


@pytest.mark.parametrize(("n", "group"), [(40, 1), (70, 1), (48, 4), (24, 8)])
def test_the_order_is_that_of_solving_anew_without_each_unit(n, group):
    products, weight = correlated(n, 6, n)
    found = removal_order(products, weight, group, 0.05)
    assert found.tolist() == least_missed_first(products, weight, group, 0.05)


def test_copies_leave_first():
    products, weight = correlated(12, 5, 0)
    twice = torch.cat([products, products[:, :4]], 1)
    twice = torch.cat([twice, twice[:4]])  # units 12 to 15 are 0 to 3 again
    order = removal_order(twice, torch.cat([weight, weight[:, :4]], 1), damping=1e-6)
    assert {unit % 12 for unit in order[:4].tolist()} == {0, 1, 2, 3}


def test_units_that_give_nothing():
    nothing, weight = torch.zeros(4, 4, dtype=torch.double), torch.ones(3, 4, dtype=torch.double)
    order = removal_order(nothing, weight)
    assert sorted(order.tolist()) == [0, 1, 2, 3]
    assert refit_error(nothing, weight, nothing @ weight.T, order[:2]) == 0


def test_many_units_leave_several_at_a_time_and_little_is_lost():
    products, weight = correlated(600, 8, 1)
    toward = products @ weight.T
    exact = torch.cat([removal_order(products, weight)])
    errors = []
    for order in (exact, torch.arange(600)):
        kept = order.flip(0)[:200]
        errors.append(refit_error(products, weight, toward, kept))
    assert errors[0] < 0.9 * errors[1]
    assert sorted(exact.tolist()) == list(range(600))


def test_errors_are_those_of_refits(headed):
    supernet = Supernet(headed)
    target = sums_of(supernet)
    errors = block_errors(target)
    assert [(c.block.layer, c.block.kind) for c in errors.curves] == [
        (layer, kind) for layer in range(3) for kind in ("attention", "ffn")
    ]
    full = np.array([4, 24] * 3)
    for position, curve in enumerate(errors.curves):
        assert curve.counts[0] == 0
        assert curve.counts[-1] == full[position]
        assert sorted(curve.order.tolist()) == list(range(full[position]))
        assert curve.errors[0] > curve.errors[len(curve.errors) // 2] > curve.errors[-1] == 0
        for count, error in list(zip(curve.counts, curve.errors, strict=True))[1:-1:2]:
            counts = full.copy()
            counts[position] = count
            mask = errors.mask(counts)
            refitted = refit(extract(headed, mask), mask, target)
            assert error == pytest.approx(refitted[position].after, rel=1e-3, abs=1e-6)


def test_with_sensitivities_errors_are_squares_in_their_sense(tiny_models):
    model = tiny_models["electra"]
    supernet = Supernet(model)
    target = sums_of(supernet)
    generator = torch.Generator().manual_seed(3)
    squares = torch.randn(6, 16, 4, generator=generator, dtype=torch.double)
    plain = block_errors(target)
    sensitivity = {curve.block: part @ part.T for curve, part in zip(plain.curves, squares, strict=True)}
    weighted = block_errors(target, sensitivity)
    curve = weighted.curves[2]
    assert not np.array_equal(weighted.curves[3].order, plain.curves[3].order)
    assert curve.tokens == pytest.approx(np.mean([int(n) for batch in target.batches for n in batch.real.sum(1)]))
    assert [c.tokens for c in weighted.curves[4:]] == [1, 1]
    counts = np.array([4, 24, 2, 24, 4, 24])
    mask = weighted.mask(counts)
    cut = extract(model, mask)
    refit(cut, mask, target)
    errors = []
    for batch in target.batches:
        seen = []
        for net in (model, cut):
            norm = net.get_submodule(supernet.family.layer_path(1, "attention_norm"))
            handle = norm.register_forward_pre_hook(lambda m, given, seen=seen: seen.append(given[0].detach()))
            with torch.no_grad():
                net(**batch.inputs)
            handle.remove()
        errors.append((seen[0] - seen[1])[batch.real].double())
    error = torch.cat(errors)
    expected = float(((error @ sensitivity[curve.block]) * error).sum(1).mean())
    assert curve.errors[2] == pytest.approx(expected, rel=1e-3)


def test_masks_keep_the_first_units_of_each_order(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    errors = block_errors(sums_of(supernet))
    few, more = errors.mask(np.array([1, 5, 2, 3, 0, 0])), errors.mask(np.array([2, 6, 3, 3, 0, 1]))
    assert few.heads_per_layer == (1, 2, 0)
    assert few.neurons_per_layer == (5, 3, 0)
    assert not (few.heads & ~more.heads).any()
    assert not (few.neurons & ~more.neurons).any()
    assert few.heads[0, errors.curves[0].order[0]]
    assert errors.mask(np.array([4, 24] * 3)) == SubnetMask.full(supernet.shape)


def test_the_same_texts_give_the_same_errors(tiny_models):
    supernet = Supernet(tiny_models["roberta"])
    one, other = (block_errors(sums_of(supernet, tokens=150)) for _ in range(2))
    for a, b in zip(one.curves, other.curves, strict=True):
        np.testing.assert_array_equal(a.order, b.order)
        np.testing.assert_array_equal(a.errors, b.errors)


def test_bfloat16_models():
    rounded = tiny_model("bert").bfloat16()
    exact = tiny_model("bert").bfloat16().float()
    for a, b in zip(*(block_errors(sums_of(Supernet(m))).curves for m in (rounded, exact)), strict=True):
        np.testing.assert_allclose(a.errors, b.errors, rtol=0.1, atol=0.02 * a.errors[0])


@pytest.mark.parametrize("name", ["bert", "electra with projection"])
def test_a_subnetworks_blocks_are_those_of_the_model_that_is_cut_out(name):
    """Units have their numbers in the whole model, blocks that are gone no curve; errors are those of refits."""
    supernet = Supernet(tiny_model(name))
    rng = np.random.default_rng(3)
    heads, neurons = rng.random((3, 4)) < 0.7, rng.random((3, 24)) < 0.6
    heads[0, :2] = neurons[2, :3] = True
    heads[1] = False  # a block that is gone
    mask = SubnetMask(heads, neurons, np.ones(16, bool))
    target = sums_of(supernet, mask=mask)
    errors = block_errors(target, sensitivities(target, rng))
    for curve in errors.curves:
        of = heads if curve.block.kind == "attention" else neurons
        assert sorted(curve.order) == np.flatnonzero(of[curve.block.layer]).tolist()
        assert curve.counts[-1] == len(curve.order)
    most = np.array([curve.counts[-1] for curve in errors.curves])
    assert errors.mask(most) == mask
    plain = block_errors(target)
    for i, curve in enumerate(plain.curves):
        if not len(curve.order):
            continue
        counts = np.where(np.arange(len(most)) == i, curve.counts[-2], most)
        cut = plain.mask(counts)
        if not counts[i]:
            continue
        model = extract(supernet.model, cut)
        found = {error.block: error.after for error in refit(model, cut, target)}
        assert curve.errors[-2] == pytest.approx(found[curve.block], rel=1e-2, abs=1e-9)


@pytest.mark.parametrize("name", ["bert", "electra with projection"])
def test_the_highest_scores_are_those_of_the_units_that_stay_longest(name):
    supernet = Supernet(tiny_model(name))
    target = sums_of(supernet)
    sensitivity = sensitivities(target, np.random.default_rng(4))
    scores = unit_scores(supernet, {block: found for block, found, _ in unit_products(target)}, sensitivity)
    for curve in block_errors(target, sensitivity).curves:
        order = scores.head_order if curve.block.kind == "attention" else scores.neuron_order
        assert order[curve.block.layer].tolist() == curve.order.tolist()


def test_products_that_rounding_has_spoilt_have_an_order_too():
    """As those of units that hardly move, in a model that has learnt nothing."""
    axes = torch.linalg.qr(torch.randn(24, 24, generator=torch.Generator().manual_seed(0)).double()).Q
    values = torch.ones(24).double()
    values[0] = -0.5  # far more than the damping makes up for
    products = axes @ torch.diag(values) @ axes.T
    order = removal_order(products, torch.randn(8, 24, generator=torch.Generator().manual_seed(1)).double())
    assert sorted(order.tolist()) == list(range(24))
    with pytest.raises(ValueError, match="no numbers"):
        removal_order(products * float("nan"), torch.ones(8, 24).double())
