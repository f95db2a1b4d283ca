"""Fine-tuning by the Trainer; what it shares with the supernet's training is tested in test_training."""

import copy
import logging
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from secateur.evaluation.model_error import model_error
from secateur.search_space import SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.supernet import Supernet
from secateur.supernet.training import finetuning
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import FinetuneSettings
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model, tiny_regressor

QUICK = FinetuneSettings(learning_rate=2e-3, batch_size=8, epochs=0.3)


def test_a_model_learns(model):
    model, losses = copy.deepcopy(model), []
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=4)
    finetune(model, toy.toy_task(400), settings, seed=0, report=lambda p: losses.append((p.done, p.total, p.loss)))
    assert [done for done, _, _ in losses] == list(range(1, 101))
    assert {total for _, total, _ in losses} == {100}
    assert np.mean([loss for _, _, loss in losses[-20:]]) < 0.8 * np.mean([loss for _, _, loss in losses[:20]])


@pytest.mark.parametrize("kind", ["question-answering", "token-classification"])
@pytest.mark.parametrize("name", ["bert", "distilbert"])
def test_a_model_learns_what_each_token_means(name, kind):
    task, model = toy.toy_task(400, kind), tiny_model(name, kind)
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=3)
    finetune(model, task, settings, seed=0)
    assert model_error(model, task.selection, task.metric, pad_token_id=0) < 0.15


@pytest.mark.parametrize("kind", ["question-answering", "token-classification"])
def test_the_loss_of_tokens_is_transformers_own(kind):
    """One batch of all texts, padded: padding has no part in it."""
    task, model, losses = toy.toy_task(16, kind), without_dropout(tiny_model("bert", kind)), []
    longest = int(task.train.lengths.max())
    ids, labels = torch.zeros(16, longest, dtype=torch.int64), torch.full((16, longest), -100)
    for i, row in enumerate(task.train.input_ids):
        ids[i, : len(row)] = torch.from_numpy(row)
    named = {"start_positions": 0, "end_positions": 1}
    if kind == "question-answering":
        named = {name: torch.from_numpy(task.train.labels[:, place]) for name, place in named.items()}
    else:
        for i, row in enumerate(task.train.labels):
            labels[i, : len(row)] = torch.from_numpy(row)
        named = {"labels": labels}
    with torch.no_grad():
        if kind == "question-answering":  # transformers' own loss takes padding for tokens
            alone = [
                model(input_ids=ids[i : i + 1, :n], **{name: rows[i : i + 1] for name, rows in named.items()}).loss
                for i, n in enumerate(task.train.lengths)
            ]
            expected = float(torch.stack(alone).mean())
        else:
            expected = float(model(input_ids=ids, attention_mask=(ids > 0).long(), **named).loss)
    finetune(model, task, FinetuneSettings(batch_size=16, epochs=1), seed=0, report=lambda p: losses.append(p.loss))
    assert losses == pytest.approx([expected], rel=0.02)  # bfloat16 on some processors


def test_seeds(tmp_path):
    one, same, other = tiny_model("bert"), tiny_model("bert"), tiny_model("bert")
    torch.manual_seed(1)
    finetune(one, toy.toy_task(), QUICK, seed=5)
    torch.manual_seed(2)
    np.random.seed(2)
    finetune(same, toy.toy_task(), QUICK, seed=5)
    finetune(other, toy.toy_task(), QUICK, seed=6)
    for p, q in zip(one.parameters(), same.parameters(), strict=True):
        assert torch.equal(p, q)
    assert any(not torch.equal(p, r) for p, r in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("training", [False, True])
def test_only_the_weights_change(model, training, capfd):
    model = copy.deepcopy(model).train(training)
    config, names, attention = model.config.to_dict(), set(vars(model)), model.config._attn_implementation
    verbosity, levels = transformers.logging.get_verbosity(), logging.root.level
    before = copy.deepcopy(model.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finetune(model, toy.toy_task(), QUICK, seed=0)
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters() if "key" not in name)
    assert model.config.to_dict() == config | {"problem_type": "single_label_classification"}
    assert set(vars(model)) == names
    assert model.config._attn_implementation == attention
    assert model.training == training
    assert all(p.grad is None for p in model.parameters())
    assert (transformers.logging.get_verbosity(), logging.root.level) == (verbosity, levels)
    assert capfd.readouterr() == ("", "")


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


def test_one_step_is_adamw(tmp_path):
    """One whole batch, one step: the weights that PyTorch's AdamW gives on autograd's gradients of the mean loss."""
    task, model = toy.toy_task(8), without_dropout(tiny_model("bert"))
    expected = copy.deepcopy(model)
    settings = FinetuneSettings(learning_rate=1e-2, batch_size=8, epochs=1, warmup=0.0, weight_decay=0.1)
    finetune(model, task, settings, seed=0)

    longest = max(map(len, task.train.input_ids))
    ids = torch.zeros(8, longest, dtype=torch.int64)
    for i, row in enumerate(task.train.input_ids):
        ids[i, : len(row)] = torch.from_numpy(row)
    loss = expected(input_ids=ids, attention_mask=(ids > 0).long(), labels=torch.from_numpy(task.train.labels)).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(expected.parameters(), 1.0)
    named = dict(expected.named_parameters())
    decaying = [p for name, p in named.items() if not name.endswith("bias") and "LayerNorm" not in name]
    rest = [p for name, p in named.items() if name.endswith("bias") or "LayerNorm" in name]
    groups = [{"params": decaying, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    torch.optim.AdamW(groups, lr=1e-2).step()
    agreeing = [(model.get_parameter(name) - p).abs() < 2e-3 for name, p in named.items() if "key.bias" not in name]
    # In bfloat16 a few of the smallest gradients change their sign, and with it AdamW's first step.
    assert torch.cat([one.flatten() for one in agreeing]).float().mean() > 0.97


class _Clock:
    """A clock that goes on with the steps of a training: the first ones take ten times as long."""

    def __init__(self, monkeypatch, killed_after=None):
        self.now, self.rates, self._killed_after = 0.0, [], killed_after
        monkeypatch.setattr(finetuning, "time", SimpleNamespace(monotonic=lambda: self.now))

    def __call__(self, step):
        self.now += 5.0 if step.done <= 4 else 0.5
        self.rates.append(step.numbers["learning_rate"])
        if step.done == self._killed_after:
            raise KeyboardInterrupt


def test_minutes_are_used_whatever_the_first_steps_take(monkeypatch):
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=10)
    clock = _Clock(monkeypatch)
    steps = finetune(tiny_model("bert"), toy.toy_task(400), settings, seed=0, report=clock, minutes=1)
    assert steps == len(clock.rates) == pytest.approx(4 + (60 - 4 * 5) / 0.5, abs=2)  # of 250
    assert max(clock.rates) > 0.6 * settings.learning_rate
    assert clock.rates[-1] < 0.02 * settings.learning_rate
    assert sorted(clock.rates[3:], reverse=True) == clock.rates[3:]  # the warm-up is over with the first slow step


def test_epochs_end_a_training_whose_minutes_do_not(monkeypatch):
    clock = _Clock(monkeypatch)
    assert finetune(tiny_model("bert"), toy.toy_task(), QUICK, seed=0, report=clock, minutes=60) == len(clock.rates) > 1
    assert len(clock.rates) == finetune(tiny_model("bert"), toy.toy_task(), QUICK, seed=0)


def test_minutes_before_a_kill_count(monkeypatch, tmp_path):
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=10, save_seconds=0)
    told = {"seed": 0, "state": tmp_path, "minutes": 1}
    with pytest.raises(KeyboardInterrupt):
        finetune(tiny_model("bert"), toy.toy_task(400), settings, report=_Clock(monkeypatch, killed_after=40), **told)
    clock = _Clock(monkeypatch)
    clock.now = 1e6  # another boot
    steps = finetune(tiny_model("bert"), toy.toy_task(400), settings, report=clock, **told)
    assert steps == pytest.approx(4 + (60 - 4 * 5) / 0.5, abs=3)
    assert len(clock.rates) == pytest.approx(steps - 39, abs=1)


def test_regression():
    task = toy.as_numbers(toy.toy_task(200))
    losses: list[float] = []
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=6)
    finetune(tiny_regressor(), task, settings, seed=0, report=lambda p: losses.append(p.loss))
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])


def test_an_extracted_model_can_be_fine_tuned():
    supernet = Supernet(tiny_model("bert"))
    mask = SubnetMask.from_counts(supernet.shape, [1, 0, 3], [5, 24, 0])
    losses: list[float] = []
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=6)
    smaller = extract(supernet.model, mask)
    finetune(smaller, toy.toy_task(200), settings, seed=0, report=lambda p: losses.append(p.loss))
    assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])


# Distilled from a teacher


def teacher_of(task, seed=3):
    size = (len(task.train), task.num_labels)
    return np.random.default_rng(seed).normal(0, 2, size).astype(np.float32)


def test_a_teacher_is_learnt_text_by_text():
    """The teacher says class 2 where the label says 0, and so on: its words count as much as the labels."""
    task, model = toy.toy_task(200), tiny_model("bert")
    settings = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=8)
    sharp = 20.0 * np.eye(3, dtype=np.float32)[(task.train.labels + 2) % 3]
    finetune(model, task, settings, seed=0, teacher=sharp)
    predicted = logits_of(model, task).argmax(1)
    assert np.mean(predicted == (task.train.labels + 2) % 3) > 0.8


def logits_of(model, task):
    longest = max(map(len, task.train.input_ids))
    ids = torch.zeros(len(task.train), longest, dtype=torch.int64)
    for i, row in enumerate(task.train.input_ids):
        ids[i, : len(row)] = torch.from_numpy(row)
    with torch.inference_mode():
        return model.eval()(input_ids=ids, attention_mask=(ids > 0).long()).logits.numpy()


def test_the_loss_with_a_teacher():
    """One batch of all texts: labels' cross-entropy, plus T^2 = 4 times the divergence from the teacher at T = 2."""
    task, model = toy.toy_task(16), without_dropout(tiny_model("bert"))
    teacher, losses = teacher_of(task), []
    student = torch.from_numpy(logits_of(model, task).copy())
    soft = torch.softmax(torch.from_numpy(teacher) / 2, 1)
    by_hand = torch.nn.functional.cross_entropy(student, torch.from_numpy(task.train.labels))
    by_hand += 4 * (soft * (soft.log() - torch.log_softmax(student / 2, 1))).sum(1).mean()
    settings = FinetuneSettings(batch_size=16, epochs=1)
    finetune(model, task, settings, seed=0, teacher=teacher, report=lambda p: losses.append(p.loss))
    assert losses == pytest.approx([float(by_hand)], rel=0.02)  # bfloat16 on some processors


@pytest.mark.parametrize("broken", [8, 17])
def test_a_distillation_resumes_bit_for_bit(tmp_path, broken):
    task, whole, models = toy.toy_task(), tiny_model("bert"), [tiny_model("bert"), tiny_model("bert")]
    teacher, plain = teacher_of(task), tiny_model("bert")
    finetune(whole, task, toy.FINETUNE, seed=7, teacher=teacher)
    finetune(plain, task, toy.FINETUNE, seed=7)
    assert not same(weights_of(whole), weights_of(plain))

    def breaking(progress):
        if progress.done == broken:
            raise Stop

    with pytest.raises(Stop):
        finetune(models[0], task, toy.FINETUNE, seed=7, state=tmp_path, report=breaking, teacher=teacher)
    finetune(models[1], task, toy.FINETUNE, seed=7, state=tmp_path, teacher=teacher)
    assert same(weights_of(models[1]), weights_of(whole))


def test_a_teacher_of_other_texts():
    task = toy.toy_task()
    with pytest.raises(ValueError, match=r"have the shape \(50, 3\), got \(49, 3\)"):
        finetune(tiny_model("bert"), task, QUICK, seed=0, teacher=teacher_of(task)[1:])


# After each step


# After each epoch: of 50 texts in batches of 8 an epoch is 7 steps.


class Stop(Exception):
    pass


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_a_look_after_each_epoch_changes_nothing():
    model, plain, seen = tiny_model("bert"), tiny_model("bert"), []
    attention = model.config._attn_implementation

    def look(epoch):
        seen.append((epoch, model.training, model.config._attn_implementation))
        torch.manual_seed(epoch)
        model(input_ids=torch.ones(2, 5, dtype=torch.int64))
        return True

    finetune(model, toy.toy_task(), toy.FINETUNE, seed=7, after_epoch=look)
    finetune(plain, toy.toy_task(), toy.FINETUNE, seed=7)
    assert seen == [(1, False, attention), (2, False, attention), (3, False, attention)]
    assert same(weights_of(model), weights_of(plain))
    assert model.config._attn_implementation == attention


def test_a_part_of_an_epoch_is_no_epoch():
    seen = []
    settings = toy.FINETUNE.model_copy(update={"epochs": 1.6})
    finetune(tiny_model("bert"), toy.toy_task(), settings, seed=7, after_epoch=lambda epoch: not seen.append(epoch))
    assert seen == [1]


def test_a_training_that_is_stopped_after_an_epoch(tmp_path):
    whole, stopped, after, steps = tiny_model("bert"), tiny_model("bert"), {}, []
    finetune(
        whole,
        toy.toy_task(),
        toy.FINETUNE,
        seed=7,
        after_epoch=lambda epoch: after.update({epoch: weights_of(whole)}) is None,
    )
    finetune(
        stopped,
        toy.toy_task(),
        toy.FINETUNE,
        seed=7,
        state=tmp_path,
        report=lambda p: steps.append(p.done),
        after_epoch=lambda epoch: epoch < 2,
    )
    assert steps == list(range(1, 15))
    assert same(weights_of(stopped), after[2])  # the learning rate falls as if it went on
    assert not same(weights_of(stopped), after[3])
    assert [path.name for path in tmp_path.iterdir()] == ["step-13"]  # nothing is saved of what has ended


@pytest.mark.parametrize("broken", [6, 7, 8, 17])
def test_a_training_that_is_looked_at_resumes_bit_for_bit(tmp_path, broken):
    whole, models = tiny_model("bert"), [tiny_model("bert"), tiny_model("bert")]
    finetune(whole, toy.toy_task(), toy.FINETUNE, seed=7)
    seen: list[int] = []

    def breaking(progress):
        if progress.done == broken:
            raise Stop

    for model, report in zip(models, (breaking, None), strict=True):
        try:
            finetune(
                model,
                toy.toy_task(),
                toy.FINETUNE,
                seed=7,
                state=tmp_path,
                report=report,
                after_epoch=lambda epoch: not seen.append(epoch),
            )
        except Stop:
            seen.append(0)
    assert seen == [*range(1, (broken - 1) // 7 + 1), 0, *range((broken - 1) // 7 + 1, 4)]
    assert same(weights_of(models[1]), weights_of(whole))


def test_weights_of_a_short_precision_become_float32():
    model = tiny_model("bert").bfloat16()
    finetune(model, toy.toy_task(), QUICK, seed=0)
    assert all(p.dtype == torch.float32 for p in model.parameters())
