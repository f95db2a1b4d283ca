from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.pruners import make_pruner
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.importance import R2D2
from secateur.pruners.kcm import KCM
from secateur.pruners.scales import extract_scaled, fit_scales
from secateur.supernet import Supernet
from secateur.tasks.task import Task
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model

NEURON = 16 + 1 + 16  # parameters: row, bias, column
LAYER = 4 * (16 * 16 + 16) + 24 * NEURON + 16 + 2 * 2 * 16  # four maps, neurons, the last bias, two LayerNorms


@pytest.fixture(scope="module")
def supernet(tiny_models) -> Supernet:
    return Supernet(tiny_models["bert"])


def prune(supernet: Supernet, task: Task, density: float = 0.8, **options):
    return KCM(**options).prune(supernet, task, density, np.random.default_rng(0))


def test_all_heads_stay_and_the_globally_best_neurons():
    supernet = Supernet(tiny_model("bert"))
    with torch.no_grad():  # filters of the middle layer resemble each other more: it can do with fewer
        supernet.parameters[f"{supernet.family.layer_path(1, 'ffn_out')}.weight"].mul_(0.9)
    mask = prune(supernet, toy_task()).mask
    scores = R2D2()(supernet, toy_task(), np.random.default_rng(1)).neurons  # all texts are drawn either way
    assert mask.heads.all()
    assert sum(mask.neurons_per_layer) == 72 - int(np.ceil(0.2 * 3 * LAYER / NEURON))
    assert scores[mask.neurons].min() > scores[~mask.neurons].max()


def test_neurons_of_smaller_models_are_among_those_of_larger_ones(supernet):
    masks = [prune(supernet, toy_task(), density).mask for density in (0.62, 0.7, 0.85, 1.0)]
    for smaller, larger in pairwise(masks):
        assert not (smaller.neurons & ~larger.neurons).any()
        assert smaller.neurons.sum() < larger.neurons.sum()


def test_the_floor_is_all_heads_and_a_neuron_in_each_block(supernet):
    pruner = KCM()
    assert pruner.floor(supernet) == pytest.approx((LAYER - 23 * NEURON) / LAYER)
    assert prune(supernet, toy_task(), pruner.floor(supernet)).mask.neurons_per_layer == (1, 1, 1)
    with pytest.raises(InputError, match=r"kcm cannot go below a density of 0\.613 .* got 0\.6; give a larger one"):
        prune(supernet, toy_task(), 0.6)


def test_labels_make_no_difference(supernet):
    task = toy_task()
    garbage = np.random.default_rng(9).integers(-(10**6), 10**6, len(task.train))
    other = replace(task, train=replace(task.train, labels=garbage))
    first, second = prune(supernet, task), prune(supernet, other)
    assert first.mask == second.mask
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])
    assert first.provenance.labels == 0


class GradientNeededError(Exception):
    pass


def _refuse(tensor: torch.Tensor) -> torch.Tensor:
    raise GradientNeededError


def test_nothing_is_kept_for_a_backward_pass(supernet):
    assert all(parameter.requires_grad for parameter in supernet.model.parameters())
    with torch.autograd.graph.saved_tensors_hooks(_refuse, _refuse):
        assert not prune(supernet, toy_task()).provenance.gradients
        with pytest.raises(GradientNeededError):  # the proof would see it
            make_pruner("mask_tuning").prune(supernet, toy_task(), 0.8, np.random.default_rng(0))


def test_the_scales_teacher_is_the_model_at_the_square_root_of_the_density(supernet):
    task, pruned = toy_task(), prune(supernet, toy_task(), 0.7)
    batches = list(calibration_batches(supernet, task, 50, np.random.default_rng(1)))  # all texts, as it saw
    scales = fit_scales(supernet, batches, pruned.mask, prune(supernet, task, 0.7**0.5).mask)
    expected = extract_scaled(supernet, pruned.mask, scales).state_dict()
    for name, tensor in pruned.model.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-4, rtol=1e-4)
    assert np.abs(scales.neurons - 1).max() > 0.1


def test_what_was_looked_at_is_told(supernet):
    told = prune(supernet, toy_task(), texts=20, scale_texts=10).provenance
    assert (told.method, told.texts, told.labels, told.gradients, told.epochs) == ("kcm", 20, 0, False, 0)
    assert told.options == {"texts": 20, "scale_texts": 10}


def test_no_texts(supernet):
    with pytest.raises(InputError, match="calibration needs at least 1 text of the training split, got 0 of 50"):
        prune(supernet, toy_task(), texts=0)
