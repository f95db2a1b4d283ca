"""The first number that is not finite ends a training, wherever it comes from."""

import numpy as np
import pytest
import torch
from secateur.search_space import SPACES
from secateur.supernet import Supernet
from secateur.supernet.training.divergence import Diverged, check_loss, check_trained
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.supernet_training import batch_rows, train_supernet
from secateur.tests.supernet.toy import FINETUNE, SUPERNET, toy_task
from secateur.tests.tiny import tiny_model

KINDS = ("classification", "question-answering", "token-classification")


def with_hook(model: torch.nn.Module, value: float) -> list[int]:
    """Make a gradient non-finite in the third backward pass; return what counts the passes."""
    passes = []

    def hook(gradient: torch.Tensor) -> torch.Tensor:
        passes.append(len(passes) + 1)
        return gradient * value if len(passes) == 3 else gradient

    next(p for name, p in model.named_parameters() if name.endswith("layer.1.output.dense.weight")).register_hook(hook)
    return passes


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_fine_tuning_ends_at_the_step(kind, value):
    task, steps = toy_task(kind=kind), []
    model = tiny_model("bert", task.kind.head)
    passes = with_hook(model, value)
    with pytest.raises(Diverged) as caught:
        finetune(model, task, FINETUNE, seed=7, report=lambda progress: steps.append(progress.done))
    message = "the training diverged at step 4 of 21: its loss is nan; give the same command with a lower learning rate"
    assert str(caught.value) == f"{message} than 0.002"
    assert (steps, passes[-1]) == ([1, 2, 3], 4)  # the update after the third pass is no number


@pytest.mark.parametrize("kind", KINDS)
def test_a_last_step_that_diverges_is_noticed(kind):
    task = toy_task(kind=kind)
    model = tiny_model("bert", task.kind.head)
    with_hook(model, float("nan"))
    settings = FINETUNE.model_copy(update={"epochs": 3 / 7})
    with pytest.raises(Diverged, match="diverged at step 3 of 3: the model's outputs are no finite numbers"):
        finetune(model, task, settings, seed=7)
    assert not model.training


@pytest.mark.parametrize("strategy", ["standard", "sandwich", "distil"])
def test_a_supernet_ends_at_the_step(strategy):
    model, task, steps = tiny_model("bert"), toy_task(), []
    settings = SUPERNET.model_copy(update={"learning_rate": 1e30, "strategy": strategy})
    supernet = Supernet(model)
    with pytest.raises(Diverged, match=r"diverged at step \d of 21: its loss is (nan|inf); .* than 1e\+30$"):
        train_supernet(
            supernet,
            SPACES["medium"](supernet.shape),
            task,
            settings,
            seed=7,
            report=lambda progress: steps.append(progress.loss),
        )
    assert len(steps) < 9
    assert np.isfinite(steps).all()


def test_a_supernet_whose_last_step_diverges_is_noticed():
    model, task = tiny_model("bert"), toy_task()
    settings = SUPERNET.model_copy(update={"learning_rate": 1e30, "steps": 1, "epochs": None})
    supernet = Supernet(model)
    with pytest.raises(Diverged, match="diverged at step 1 of 1: "):
        train_supernet(supernet, SPACES["medium"](supernet.shape), task, settings, seed=7)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_losses(loss):
    with pytest.raises(Diverged, match=rf"at step 3 of 9: its loss is {loss:g}; "):
        check_loss(loss, 3, 9, 1e-3)
    check_loss(1e30, 3, 9, 1e-3)


def test_weights_that_no_output_depends_on():
    model = tiny_model("bert")
    check_trained(model, torch.zeros(1), 9, 1e-3)
    with torch.no_grad():
        model.bert.embeddings.word_embeddings.weight[39, 3] = float("inf")
    with pytest.raises(Diverged, match=r"9 of 9: weights are no finite numbers, bert\.embeddings\.word_emb"):
        check_trained(model, torch.zeros(1), 9, 1e-3)


def test_what_outputs_mean_is_said_by_the_training():
    for kind, expected in zip(KINDS, ("single_label_classification", None, None), strict=True):
        task = toy_task(kind=kind)
        for train in ("finetune", "supernet"):
            model = tiny_model("bert", task.kind.head, problem_type="multi_label_classification")
            supernet = Supernet(model)
            if train == "finetune":
                finetune(model, task, FINETUNE.model_copy(update={"epochs": 0.2}), seed=7)
            else:
                short = SUPERNET.model_copy(update={"epochs": 0.2})
                train_supernet(supernet, SPACES["medium"](supernet.shape), task, short, seed=7)
            assert model.config.problem_type == expected


def test_any_number_of_steps_takes_no_memory():
    task = toy_task()
    rows = batch_rows(task, 8, 7, 0, 10**15)
    first = [next(rows) for _ in range(15)]
    assert [step for step, _ in first] == list(range(15))
    assert sorted(np.concatenate([rows for _, rows in first[:7]])) == list(range(50))
    late = next(batch_rows(task, 8, 7, 8, 10**15))
    assert (late[1] == first[8][1]).all()
