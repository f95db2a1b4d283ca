"""Cam-Cut and Smooth-Cut as their authors have them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.pruners import PRUNERS, make_pruner
from secateur.pruners.deepcuts import DeepCuts, retrain_masked
from secateur.pruners.elements import STRATEGIES, ElementScores, kept_elements, prunable_names
from secateur.pruners.importance.backward import Recipe
from secateur.search_space import SubnetMask
from secateur.supernet.supernet import Supernet
from secateur.supernet.training.settings import FinetuneSettings
from secateur.tests.pruners.trained import other_weights, pruned_by
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model, tiny_regressor

QUICK = FinetuneSettings(learning_rate=2e-3, batch_size=8, epochs=1, save_seconds=0)
SCORING = ElementScores(Recipe(texts=24, weights=True, head=True), shift=0.0)


def test_zeros_stay_zeros_and_all_else_is_trained(model):
    pruner = DeepCuts(SCORING, settings=QUICK)
    task = replace(toy.toy_task(), pad_token_id=model.config.pad_token_id)
    pruned, names = pruned_by(pruner, model, task), prunable_names(Supernet(model))
    zeros = kept = total = 0
    for name in names:
        weight = pruned.model.get_parameter(name)
        assert int((weight != 0).sum()) == weight.numel() * 3 // 10, name
        zeros, total = zeros + int((weight == 0).sum()), total + weight.numel()
        kept += weight.numel() * 3 // 10
    assert pruned.density == pytest.approx(1 - zeros / total) == kept / total <= 0.3
    for name, parameter in pruned.model.named_parameters():
        if "key.bias" not in name and "k_lin.bias" not in name:
            assert not torch.equal(parameter, model.get_parameter(name)), name
    assert pruned.mask == SubnetMask.full(Supernet(model).shape)
    assert type(pruned.model) is type(model)
    assert not pruned.model.training
    assert not any(parameter._backward_hooks for parameter in pruned.model.parameters())


def test_the_mask_is_that_of_the_fine_tuned_model_and_the_weights_are_the_pretrained_ones():
    model, pretrained, task = tiny_model("bert"), other_weights(), toy.toy_task()
    before = [copy.deepcopy(one.state_dict()) for one in (model, pretrained)]
    pruned = pruned_by(DeepCuts(SCORING, rewind=pretrained, settings=None), model, task)
    kept = kept_elements(SCORING(Supernet(model), task, np.random.default_rng(0)), 0.3)
    for name, parameter in pruned.model.named_parameters():
        expected = pretrained.get_parameter(name)
        assert torch.equal(parameter, expected * kept[name] if name in kept else expected), name
    with torch.no_grad():
        for parameter in pruned.model.parameters():
            parameter.fill_(7.0)  # a copy, not the same tensors
    for one, state in zip((model, pretrained), before, strict=True):
        assert all(torch.equal(state[name], p) for name, p in one.state_dict().items())
    assert pruned.provenance.options["rewound"] is True


def test_nothing_to_rewind_to():
    model = tiny_model("bert")
    pruned = pruned_by(DeepCuts("magnitude", settings=None), model)
    for name in prunable_names(Supernet(model)):
        left = pruned.model.get_parameter(name)
        assert torch.equal(left, torch.where(left == 0, 0.0, model.get_parameter(name)))
        assert left.abs().sum() > 0.3 * model.get_parameter(name).abs().sum()  # the largest ones
    assert pruned.provenance.options["rewound"] is False
    assert pruned.provenance.epochs == pruned.provenance.texts == pruned.provenance.labels == 0


def test_what_is_left_learns():
    task, losses = toy.toy_task(200), []
    recipe = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=6)
    pruner = DeepCuts("magnitude", settings=recipe, report=lambda p: losses.append(p.loss))
    pruned_by(pruner, task=task, density=0.5)
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])


def test_removed_weights_have_no_gradient():
    model, seen = tiny_model("bert"), []
    name = "bert.encoder.layer.1.output.dense.weight"
    kept = {name: torch.rand(model.get_parameter(name).shape, generator=torch.Generator().manual_seed(0)) < 0.4}
    handle = model.get_parameter(name).register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    retrain_masked(model, kept, toy.toy_task(), QUICK, seed=0)
    handle.remove()
    assert len(seen) == 7
    assert all((gradient[~kept[name]] == 0).all() and (gradient[kept[name]] != 0).any() for gradient in seen)


class Stop(Exception):
    pass


def test_a_retraining_that_was_killed_goes_on(tmp_path):
    whole = pruned_by(DeepCuts(SCORING, rewind=other_weights(), settings=QUICK)).model
    pruner = DeepCuts(SCORING, rewind=other_weights(), settings=QUICK, state=tmp_path)

    def breaking(progress):
        if progress.done == 4:
            raise Stop

    pruner.report = breaking
    with pytest.raises(Stop):
        pruned_by(pruner)
    steps = []
    pruner.report = lambda progress: steps.append(progress.done)
    resumed = pruned_by(pruner).model
    assert steps == [4, 5, 6, 7]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_the_seed_decides():
    models = [pruned_by(DeepCuts(SCORING, settings=QUICK), seed=seed).model for seed in (3, 3, 4)]
    first, same, other = (list(one.parameters()) for one in models)
    assert all(torch.equal(a, b) for a, b in zip(first, same, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_regression():
    pruned = pruned_by(DeepCuts(SCORING, settings=QUICK), tiny_regressor(), toy.as_numbers(toy.toy_task()))
    assert 0.25 < pruned.density <= 0.3
    assert all(torch.isfinite(p).all() for p in pruned.model.parameters())


@pytest.mark.parametrize("strategy", ["cam", "smooth", "smoothcam", "magnitude", "snip"])
def test_by_name(strategy):
    pruner = make_pruner(f"deepcuts_{strategy}")
    assert isinstance(pruner, DeepCuts)
    assert pruner.recovery == "native"
    assert pruner.needs_labels
    assert pruner.needs_gradients
    task = toy.toy_task(16)
    pruned = pruned_by(pruner, task=task)
    provenance = pruned.provenance
    assert (provenance.method, provenance.epochs, provenance.gradients) == (f"deepcuts_{strategy}", 8, True)
    assert (provenance.texts, provenance.labels) == (16, 16)
    assert provenance.seconds > 0


def test_what_a_method_needs_without_retraining():
    assert {f"deepcuts_{name}" for name in STRATEGIES} == {name for name in PRUNERS if name.startswith("deepcuts_")}
    needs = {name: DeepCuts(name, settings=None).needs_labels for name in STRATEGIES}
    assert needs == {name: name != "magnitude" for name in STRATEGIES}
    scored = pruned_by(DeepCuts(SCORING, settings=None)).provenance
    assert (scored.texts, scored.labels, scored.epochs, scored.gradients) == (24, 24, 0, True)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, "a share above 0 and at most 1, got 0;"),
        (1.5, "a share above 0 and at most 1, got 1.5;"),
        (0.05, r"deepcuts_cam cannot go below a density of 0\.062 on this model, got 0\.05;"),
    ],
)
def test_densities_out_of_range(density, message):
    with pytest.raises(InputError, match=message):
        pruned_by(make_pruner("deepcuts_cam"), density=density)


def test_other_bad_input():
    with pytest.raises(InputError, match=r"unknown strategy 'cut'; known: cam, .*snip"):
        DeepCuts("cut")
    with pytest.raises(InputError, match="leave the cost out"):
        make_pruner("deepcuts_cam", cost=lambda mask: 1.0)
    with pytest.raises(InputError, match="give the one the run began with"):
        pruned_by(DeepCuts("magnitude", rewind=tiny_model("roberta")))
    task = toy.toy_task()
    empty = replace(task, train=replace(task.train, input_ids=[], labels=task.train.labels[:0]))
    for strategy in ("cam", "magnitude"):
        with pytest.raises(InputError, match="needs at least 1 text of the training split"):
            pruned_by(DeepCuts(strategy), task=empty)
