"""Pruners on heads that read each token: nothing may take the first token for all that matters."""

from dataclasses import replace

import numpy as np
import pytest
from secateur.evaluation.model_error import model_error
from secateur.pruners import Pruned, make_pruner
from secateur.pruners.agreement import check_pruned
from secateur.pruners.importance import Fisher
from secateur.pruners.importance.backward import Recipe
from secateur.supernet import Supernet
from secateur.supernet.heads import head_of
from secateur.tasks.task import Task
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


@pytest.fixture(scope="module", params=["question-answering", "token-classification"])
def task(request) -> Task:
    task = toy_task(kind=request.param)
    return replace(task, train=task.train.take(np.arange(24)))


@pytest.fixture(scope="module")
def supernet(task) -> Supernet:
    return Supernet(tiny_model("bert", task.kind.head))


def prune(name: str, supernet: Supernet, task: Task, density: float) -> Pruned:
    return make_pruner(name).prune(supernet, task, density, np.random.default_rng(0))


@pytest.mark.parametrize("name", ["rank_fisher", "rank_smooth", "kcm", "mask_tuning", "layer_drop_top"])
def test_units_are_removed(supernet, task, name):
    pruned = prune(name, supernet, task, 0.7)
    assert 0.6 < pruned.density <= 0.7
    assert check_pruned(supernet, task, pruned) == (name in ("kcm", "mask_tuning"))
    assert head_of(pruned.model) == task.kind.head
    assert np.isfinite(model_error(pruned.model, task.selection, task.metric, pad_token_id=0))


def test_single_weights_are_removed(supernet, task):
    pruned = prune("deepcuts_cam", supernet, task, 0.5)
    weight = pruned.model.get_parameter(f"{supernet.family.layer_path(2, 'ffn_out')}.weight")
    assert (weight == 0).float().mean() == 0.5
    assert pruned.model.get_parameter(f"{supernet.head_paths.classifier}.weight").all()


def test_a_texts_gradient_does_not_depend_on_its_batch(supernet, task):
    alone, together = (
        Fisher(Recipe(texts=24, batch_size=size))(supernet, task, np.random.default_rng(0)) for size in (1, 24)
    )
    np.testing.assert_allclose(together.neurons, alone.neurons, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(together.heads, alone.heads, rtol=1e-3, atol=1e-9)
