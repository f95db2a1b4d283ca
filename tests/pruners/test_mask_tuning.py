import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.pruners import make_pruner
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.importance.backward import Recipe, backward_passes
from secateur.pruners.mask_tuning import MaskTuning
from secateur.pruners.rearrangement import rearranged
from secateur.pruners.scales import extract_scaled, fit_scales
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.tests.supernet.toy import toy_task


@pytest.fixture(scope="module")
def supernet(tiny_models) -> Supernet:
    return Supernet(tiny_models["bert"])


def prune(supernet: Supernet, density: float = 0.6, seed: int = 0, **options):
    return MaskTuning(**options).prune(supernet, toy_task(), density, np.random.default_rng(seed))


def removal_cost(gradients, kept):
    """The sum over texts of the removed units' gradients together, squared."""
    return np.square(np.asarray(gradients, np.float64)[:, ~kept].sum(axis=1)).sum()


def test_units_whose_gradients_cancel_go_together():
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    gradients = np.stack([first, -1.1 * first, 0.9 * second, 3 * second], axis=1)
    found = rearranged(gradients, np.array([False, True, False, True]))  # the two smallest alone cost 1.81
    assert list(np.flatnonzero(~found)) == [0, 1]
    assert removal_cost(gradients, found) == pytest.approx(0.01)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.integers(2, 40))
def test_no_swap_raises_the_cost_and_the_count_stays(seed, texts, units):
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(texts, units)).astype(np.float32)
    kept = rng.permutation(units) < rng.integers(1, units + 1)
    cost = removal_cost(gradients, kept)
    for sweeps in (1, 2, 100):
        found = rearranged(gradients, kept, sweeps=sweeps)
        assert found.sum() == kept.sum()
        assert removal_cost(gradients, found) <= cost * (1 + 1e-5) + 1e-5
        cost = removal_cost(gradients, found)
    for out in np.flatnonzero(found):  # in the end no single swap helps
        for back in np.flatnonzero(~found):
            other = found.copy()
            other[out], other[back] = False, True
            assert removal_cost(gradients, other) >= cost - 1e-3


def test_swaps_keep_each_layers_count_and_lower_its_cost(supernet):
    tuned = prune(supernet, rearrange="all").mask
    ranked = make_pruner("rank_fisher").prune(supernet, toy_task(), 0.6, np.random.default_rng(0)).mask
    assert tuned.heads_per_layer == ranked.heads_per_layer
    assert tuned.neurons_per_layer == ranked.neurons_per_layer
    assert tuned != ranked
    seen = list(backward_passes(supernet, toy_task(), np.random.default_rng(0), Recipe()))
    heads, neurons = torch.cat([one.heads for one in seen]), torch.cat([one.neurons for one in seen])
    for layer in range(3):
        for gradients, before, after in (
            (heads[:, layer], ranked.heads[layer], tuned.heads[layer]),
            (neurons[:, layer], ranked.neurons[layer], tuned.neurons[layer]),
        ):
            assert removal_cost(gradients, after) <= removal_cost(gradients, before) * (1 + 1e-5)


def test_units_stay_where_the_scores_have_them_unless_asked(supernet):
    ranked = make_pruner("rank_fisher").prune(supernet, toy_task(), 0.6, np.random.default_rng(0)).mask
    tuned, neither, both = (prune(supernet, rearrange=what).mask for what in ("neurons", "none", "all"))
    assert prune(supernet).mask == ranked
    assert np.array_equal(tuned.heads, ranked.heads)
    assert not np.array_equal(tuned.neurons, ranked.neurons)
    assert neither == ranked
    assert np.array_equal(both.neurons, tuned.neurons)


def test_only_the_batch_form_depends_on_which_texts_meet(supernet):
    seeds = range(4)  # all 50 texts are drawn each time, in other batches
    by_text = [prune(supernet, seed=seed) for seed in seeds]
    assert len({pruned.mask for pruned in by_text}) == 1
    for pruned in by_text[1:]:
        for name, tensor in pruned.model.state_dict().items():
            torch.testing.assert_close(tensor, by_text[0].model.state_dict()[name], atol=1e-3, rtol=1e-3)
    assert len({prune(supernet, seed=seed, fisher="batch").mask for seed in seeds}) > 1


def test_the_whole_model_is_left_alone(supernet):
    pruned = prune(supernet, 1.0)
    assert pruned.mask.heads.all()
    assert pruned.mask.neurons.all()
    ids = torch.tensor([[2, 5, 11, 3]])
    with torch.no_grad():
        torch.testing.assert_close(pruned.model(ids).logits, supernet.model(ids).logits, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("which", "share"), [("root", 0.5**0.5), ("whole", 1.0)])
def test_the_scales_teacher_is_the_whole_or_what_the_scores_choose_at_the_root_of_the_density(supernet, which, share):
    task, pruned = toy_task(), prune(supernet, 0.5, teacher=which)
    teacher = make_pruner("rank_fisher").prune(supernet, task, share, np.random.default_rng(0)).mask
    batches = list(calibration_batches(supernet, task, 50, np.random.default_rng(1)))  # all texts, as it saw
    scales = fit_scales(supernet, batches, pruned.mask, teacher)
    expected = extract_scaled(supernet, pruned.mask, scales).state_dict()
    for name, tensor in pruned.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-4, rtol=1e-4)
    assert np.abs(scales.neurons - 1).max() > 0.1


def test_no_texts_for_scales_means_no_scales(supernet):
    pruned = prune(supernet, scale_texts=0)
    expected = extract(supernet.model, pruned.mask).state_dict()
    for name, tensor in pruned.model.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_what_was_looked_at_is_told(supernet):
    told = prune(supernet, texts=40, scale_texts=8, fisher="batch").provenance
    assert (told.method, told.texts, told.labels, told.gradients, told.epochs) == ("mask_tuning", 40, 40, True, 0)
    chosen = {"texts": 40, "scale_texts": 8, "fisher": "batch"}
    assert told.options == {**chosen, "rearrange": "none", "teacher": "whole"}


def test_no_texts(supernet):
    with pytest.raises(InputError, match="calibration needs at least 1 text of the training split, got 0 of 50"):
        prune(supernet, texts=0)
