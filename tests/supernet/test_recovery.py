"""Short recovery by distillation, for extracted models of every family."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.model_error import model_error, model_outputs
from secateur.search_space import SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.supernet import Supernet
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.recovery import recover
from secateur.supernet.training.settings import FinetuneSettings, RecoverySettings
from secateur.supernet.training.teacher import Teacher
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model, tiny_regressor

RECIPE = RecoverySettings(learning_rate=4e-3, batch_size=16, epochs=3)


def outputs(model, task):
    return model_outputs(model.eval(), task.train, pad_token_id=task.pad_token_id)


def smaller(model, heads=(1, 0, 3), neurons=(5, 24, 0)):
    return extract(model, SubnetMask.from_counts(Supernet(model).shape, list(heads), list(neurons)))


def test_a_smaller_model_comes_closer_to_the_whole_one(model):
    task = toy.toy_task(160)
    teacher, small, done = outputs(model, task), smaller(model), []
    task = replace(task, train=replace(task.train, labels=teacher.argmax(1)))  # teacher and labels agree
    before = np.mean((outputs(small, task).argmax(1)) == teacher.argmax(1))
    whole = copy.deepcopy(model.state_dict())
    recover(small, task, teacher, RECIPE, seed=0, report=lambda p: done.append((p.done, p.total)))
    assert np.mean(outputs(small, task).argmax(1) == teacher.argmax(1)) > max(before, 0.6)
    assert done[-1] == (30, 30)
    assert all(torch.equal(whole[name], p) for name, p in model.state_dict().items())


@pytest.mark.parametrize("kind", ["question-answering", "token-classification"])
def test_what_each_token_means_is_learnt_again(kind):
    task, model = toy.toy_task(240, kind), tiny_model("bert", kind)

    def error(of) -> float:
        return model_error(of.eval(), task.selection, task.metric, pad_token_id=0)

    finetune(model, task, FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=4), seed=0)
    small = smaller(model)
    whole, before = error(model), error(small)
    recover(small, task, outputs(model, task), RECIPE, seed=0)
    assert whole < 0.1
    assert error(small) < 0.5 * before


@pytest.mark.parametrize(("heads", "neurons"), [((4, 4, 4), (24, 24, 24)), ((0, 0, 0), (0, 0, 0))])
def test_every_model_takes_the_same_steps(heads, neurons):
    model, task, steps = tiny_model("bert"), toy.toy_task(), []
    settings = RECIPE.model_copy(update={"batch_size": 8, "epochs": 0.4})  # of 7 steps an epoch
    small = smaller(model, heads, neurons)
    recover(small, task, outputs(model, task), settings, seed=0, report=lambda p: steps.append((p.done, p.total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_regression_learns_the_teacher_and_not_the_labels():
    model, task = tiny_regressor(), toy.as_numbers(toy.toy_task(200), np.full(200, 50.0))
    teacher = np.array([[2.0 * (5 in row)] for row in task.train.input_ids], np.float32)
    recover(model, task, teacher, RECIPE.model_copy(update={"epochs": 15}), seed=0)
    assert np.mean((outputs(model, task) - teacher) ** 2) < 0.5 * teacher.var()


@pytest.mark.parametrize(("kind", "noisy"), [("embedding", False), ("classification", True)])
@pytest.mark.parametrize("told", ["outputs", "model"])
def test_vectors_are_learnt_without_dropout(kind, noisy, told):
    task, weights = toy.toy_task(kind=kind), []
    head = "embedding" if kind == "embedding" else "sequence-classification"
    whole = tiny_model("bert", head).eval()
    task = replace(task, train=replace(task.train, labels=outputs(whole, task))) if kind == "embedding" else task
    for rate in (0.0, 0.4):
        small = smaller(whole).train()
        for module in small.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = rate
        teacher = outputs(whole, task) if told == "outputs" else Teacher(whole, small, {})
        recover(small, task, teacher, RECIPE.model_copy(update={"epochs": 1}), seed=0)
        assert small.training  # as it was
        weights.append(torch.cat([p.detach().flatten() for p in small.parameters()]))
    assert torch.equal(*weights) != noisy


def test_the_seed_decides():
    task, source = toy.toy_task(), tiny_model("bert")
    teacher, models = outputs(source, task), [smaller(source) for _ in range(3)]
    settings = RECIPE.model_copy(update={"epochs": 0.5})
    for i, (model, seed) in enumerate(zip(models, (4, 4, 5), strict=True)):
        torch.manual_seed(i)
        recover(model, task, teacher, settings, seed=seed)
    states = [list(model.parameters()) for model in models]
    assert all(torch.equal(a, b) for a, b in zip(states[0], states[1], strict=True))
    assert any(not torch.equal(a, c) for a, c in zip(states[0], states[2], strict=True))


def test_a_teacher_that_has_diverged():
    task, model = toy.toy_task(), tiny_model("bert")
    teacher = outputs(model, task)
    teacher[7, 1] = np.nan
    with pytest.raises(InputError, match="finite numbers, but the fine-tuned model's are not; fine-tune again"):
        recover(model, task, teacher, RECIPE, seed=0)


def test_models_of_another_task():
    task, model = toy.toy_task(), tiny_model("bert")
    with pytest.raises(ValueError, match=r"have the shape \(50, 3\), got \(50, 2\)"):
        recover(model, task, outputs(model, task)[:, :2], RECIPE, seed=0)
