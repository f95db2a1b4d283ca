"""The supernet's training: it learns, repeats itself, survives a kill, and runs on two processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from secateur.errors import InputError
from secateur.evaluation.error import SplitError
from secateur.search_space import SPACES
from secateur.supernet import Supernet
from secateur.supernet.reordering import measured_layer_order
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import SupernetSettings
from secateur.supernet.training.strategies import STRATEGIES
from secateur.supernet.training.supernet_training import (
    batch_rows,
    learning_rate_factor,
    parameter_groups,
    train_supernet,
)
from secateur.tasks.batches import collate, sorted_batches
from secateur.tasks.kinds import KINDS
from secateur.tasks.metrics import METRICS
from secateur.tasks.task import Task
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model

STAGES = ("supernet", "finetune")


pytestmark = pytest.mark.usefixtures("one_thread")


def outputs_of(supernet: Supernet, x: list[int], task: Task) -> np.ndarray:
    subnet = supernet.subnet(SPACES["small"](supernet.shape).mask(np.array(x)))
    outputs = np.zeros((len(task.selection), supernet.model.config.num_labels))
    for batch in sorted_batches(task.selection, tokens=512, pad_token_id=0):
        outputs[batch.index] = subnet(batch.input_ids, batch.attention_mask).numpy()
    return outputs


def accuracy(supernet: Supernet, x: list[int], task: Task) -> float:
    return task.metric.score(outputs_of(supernet, x, task), task.selection)


def assert_same_weights(one, other) -> None:
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q), name


LEARNING = SupernetSettings(
    strategy="full", learning_rate=4e-3, batch_size=16, epochs=6, dropout="none", precision="float32"
)


@pytest.mark.parametrize("strategy", ["sandwich", "full"])
def test_small_subnetworks_learn_a_separable_task(strategy):
    task, supernet = toy.toy_task(400), Supernet(tiny_model("bert"))
    settings = LEARNING.model_copy(update={"strategy": strategy})
    small, whole = [1, 2, 8], [3, 4, 24]
    assert accuracy(supernet, small, task) < 0.6  # a third are right by chance
    losses: list[float] = []
    train_supernet(
        supernet, SPACES["small"](supernet.shape), task, settings, seed=0, report=lambda p: losses.append(p.loss)
    )
    assert len(losses) == 6 * 25
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:20])
    assert accuracy(supernet, small, task) > 0.8
    assert accuracy(supernet, whole, task) > 0.9
    assert all(p.grad is None for p in supernet.model.parameters())


def test_with_the_defaults_a_network_of_one_layer_is_no_constant():
    task, model = toy.toy_task(400), tiny_model("bert")
    finetune(model, task, toy.FINETUNE.model_copy(update={"learning_rate": 4e-3, "batch_size": 16}), seed=0)
    supernet = Supernet(model)
    order = measured_layer_order(supernet, sorted_batches(task.train, tokens=512, pad_token_id=0), task.kind)
    space = SPACES["small"](supernet.shape, layer_order=order)
    mask = space.mask(np.array([1, 4, 24]))

    def error() -> float:
        found = SplitError(supernet, task.selection, task.metric, pad_token_id=0)
        return found.errors(mask, (mask.depth,))[mask.depth]

    before = error()
    train_supernet(supernet, space, task, SupernetSettings(steps=150, precision="float32"), seed=0)
    assert error() < min(0.45, before)  # a constant answer is wrong for two thirds


@pytest.mark.parametrize(("settings", "steps"), [({"steps": 5}, 5), ({"epochs": 0.5}, 6), ({"epochs": 0.01}, 1)])
def test_a_training_has_a_number_of_steps_or_of_epochs(settings, steps):
    told = SupernetSettings.model_validate({"batch_size": 8, **settings})
    assert told.total_steps(90) == steps


@pytest.mark.parametrize("kind", ["question-answering", "token-classification"])
def test_small_subnetworks_learn_what_each_token_means(kind):
    task, supernet = toy.toy_task(400, kind), Supernet(tiny_model("bert", kind))
    space = SPACES["small"](supernet.shape)
    settings = LEARNING.model_copy(update={"strategy": "sandwich", "epochs": 4})
    train_supernet(supernet, space, task, settings, seed=0)
    errors = SplitError(supernet, task.selection, task.metric, pad_token_id=0)
    for x, least in (([1, 2, 8], 0.2), ([3, 4, 24], 0.1)):
        mask = space.mask(np.array(x))
        assert errors.errors(mask, (mask.depth,))[mask.depth] < least


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_strategies_repeat_themselves(strategy):
    settings = toy.SUPERNET.model_copy(update={"strategy": strategy, "epochs": 0.5})

    def train(seed: int):
        supernet = Supernet(tiny_model("bert"))
        space = SPACES["medium"](supernet.shape)
        train_supernet(supernet, space, toy.toy_task(), settings, seed=seed)
        return supernet.model

    first, second, other = train(1), train(1), train(2)
    assert_same_weights(first, second)
    differing = [not torch.equal(p, q) for p, q in zip(first.parameters(), other.parameters(), strict=True)]
    assert sum(differing) > len(differing) / 2
    assert all(p.isfinite().all() for p in first.parameters())


def test_learning_of_numbers():
    task = toy.toy_task(400)
    numbers = toy.as_numbers(task)
    model = tiny_model("bert")
    torch.manual_seed(1)
    model.classifier, model.config.num_labels = torch.nn.Linear(16, 1), 1
    supernet = Supernet(model)
    train_supernet(supernet, SPACES["small"](supernet.shape), numbers, LEARNING, seed=0)
    for x in ([1, 3, 16], [3, 4, 24]):
        outputs = outputs_of(supernet, x, task)
        assert METRICS["pearson"].score(outputs, task.selection) > 0.8


def test_weights_of_a_short_precision_become_float32():
    model = tiny_model("bert").bfloat16()
    supernet = Supernet(model)
    settings = toy.SUPERNET.model_copy(update={"epochs": 0.2})
    train_supernet(supernet, SPACES["small"](supernet.shape), toy.toy_task(), settings, seed=0)
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_each_epoch_has_every_text_once_in_an_order_of_its_own():
    task = toy.toy_task()
    steps = list(batch_rows(task, 8, seed=3, first=0, total=21))
    assert [index for index, _ in steps] == list(range(21))
    epochs = [np.concatenate([rows for _, rows in steps[i : i + 7]]) for i in (0, 7, 14)]
    assert all(sorted(rows.tolist()) == list(range(50)) for rows in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    for first in (1, 7, 11, 20):
        rest = list(batch_rows(task, 8, seed=3, first=first, total=21))
        assert [index for index, _ in rest] == list(range(first, 21))
        assert all(np.array_equal(a[1], b[1]) for a, b in zip(rest, steps[first:], strict=True))
    other = np.concatenate([rows for _, rows in batch_rows(task, 8, seed=4, first=0, total=7)])
    assert not np.array_equal(other, epochs[0])


def test_learning_rate_rises_and_falls_linearly():
    factors = [learning_rate_factor(step, 10, 0.4) for step in range(10)]
    assert factors == pytest.approx([1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    assert [learning_rate_factor(step, 4, 0.0) for step in range(4)] == pytest.approx([1, 3 / 4, 2 / 4, 1 / 4])
    assert learning_rate_factor(0, 1, 1.0) > 0


def test_vectors_do_not_decay():
    supernet = Supernet(tiny_model("bert"))
    supernet.model.bert.embeddings.requires_grad_(False)
    matrices, vectors = parameter_groups(supernet, 0.3)
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.3, 0.0)
    names = {id(p): name for name, p in supernet.model.named_parameters()}
    decaying = {names[id(p)] for p in matrices["params"]}
    assert all("LayerNorm" not in name and name.endswith(".weight") for name in decaying)
    rest = {names[id(p)] for p in vectors["params"]}
    assert decaying | rest == {n for n, p in supernet.model.named_parameters() if "embeddings" not in n}


@pytest.mark.parametrize("clip", [0.0, 0.2])
def test_the_standard_strategy_is_plain_fine_tuning(clip):
    """Against autograd on the Hugging Face model, PyTorch's clipping and its plain AdamW."""
    task, supernet = toy.toy_task(), Supernet(tiny_model("bert"))
    options = {"strategy": "standard", "dropout": "none", "clip": clip, "weight_decay": 0.3, "epochs": 1.0}
    settings = toy.SUPERNET.model_copy(update=options)
    train_supernet(supernet, SPACES["small"](supernet.shape), task, settings, seed=7)

    model = tiny_model("bert")
    decays = {
        name: 0.0 if name.endswith("bias") or "LayerNorm" in name else 0.3 for name, _ in model.named_parameters()
    }
    groups = [{"params": [p], "weight_decay": decays[name]} for name, p in model.named_parameters()]
    optimizer, norms = torch.optim.AdamW(groups, lr=1.0, foreach=False), []
    for index, rows in batch_rows(task, 8, seed=7, first=0, total=7):
        batch = collate(task.train, rows, 0)
        attention_mask = None if batch.attention_mask is None else batch.attention_mask.long()
        model(input_ids=batch.input_ids, attention_mask=attention_mask, labels=batch.labels).loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), clip or float("inf"))))
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * learning_rate_factor(index, 7, settings.warmup)
        optimizer.step()
        optimizer.zero_grad()
    assert min(norms) > 0.2
    for name, p in model.named_parameters():
        if "key.bias" not in name:  # without effect: its gradient is rounding
            torch.testing.assert_close(supernet.model.get_parameter(name), p, atol=2e-5, rtol=0)


def test_unknown_strategy():
    supernet = Supernet(tiny_model("bert"))
    settings = SupernetSettings(strategy="sandwitch")
    with pytest.raises(InputError, match="unknown strategy 'sandwitch'; known: distil, full, inplace_kd, random,"):
        train_supernet(supernet, SPACES["small"](supernet.shape), toy.toy_task(), settings, seed=0)


# What both stages must do alike.


def start(function: str, *arguments: str, **world: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "secateur.tests.supernet.toy", function, *arguments]
    environment = os.environ | world | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_training_resumes_bit_for_bit(stage, tmp_path):
    process = start("until killed", stage, str(tmp_path / "state"))
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 10:  # in the second epoch
            break
    process.send_signal(signal.SIGKILL)
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL

    steps: list[int] = []
    resumed = toy.train(stage, tmp_path / "state", lambda progress: steps.append(progress.done))
    assert 9 <= steps[0] < toy.STEPS  # it saves after each step
    assert steps == list(range(steps[0], toy.STEPS + 1))
    assert_same_weights(resumed, toy.train(stage, None))
    assert len(list((tmp_path / "state").iterdir())) == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_half_written_checkpoint_is_passed_over(stage, tmp_path):
    toy.train(stage, tmp_path)
    (last,) = tmp_path.iterdir()
    assert last.name == "step-20"
    for name in ("incomplete", "checkpoint-21"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
    steps: list[int] = []
    resumed = toy.train(stage, tmp_path, lambda progress: steps.append(progress.done))
    assert steps == [21]
    assert_same_weights(resumed, toy.train(stage, None))


DAMAGES = [("supernet", "model.safetensors"), ("supernet", "optimizer.safetensors"), ("supernet", "model.json")]
DAMAGES += [("supernet", "optimizer.json"), ("supernet", "digests.json"), ("finetune", "rng_state.json")]
DAMAGES += [("finetune", name) for name in ("model.safetensors", "optimizer.safetensors", "rng_state.safetensors")]
DAMAGES += [("finetune", name) for name in ("optimizer.json", "scheduler.json", "trainer_state.json")]


@pytest.mark.parametrize("how", ["cut", "removed"])
@pytest.mark.parametrize(("stage", "name"), DAMAGES)
def test_a_damaged_checkpoint(stage, name, how, tmp_path, finished_states):
    state = tmp_path / "state"
    shutil.copytree(finished_states[stage], state)
    file = state / "step-20" / name
    if how == "cut":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.unlink()
    with pytest.raises(InputError) as caught:
        toy.train(stage, state)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"the checkpoint {state / 'step-20'} cannot be read (")
    assert text.endswith("delete that folder and the training starts again")


@pytest.fixture(scope="module")
def finished_states(tmp_path_factory) -> dict[str, Path]:
    folders = {stage: tmp_path_factory.mktemp(stage) for stage in STAGES}
    for stage, folder in folders.items():
        toy.train(stage, folder)
    return folders


def test_no_state_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stage in STAGES:
        toy.train(stage, None)
    assert not list(tmp_path.iterdir())


def test_checkpoints_wait_for_the_clock(tmp_path):
    for stage, settings in (("supernet", toy.SUPERNET), ("finetune", toy.FINETUNE)):
        folder = tmp_path / stage
        toy.train(stage, folder, settings=settings.model_copy(update={"save_seconds": 1000.0}))
        assert not folder.exists() or not list(folder.iterdir())


def test_two_processes_are_as_good_as_one(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    processes = []
    for rank in ("0", "1"):
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(start("both stages", str(tmp_path / rank), **world))
    toy.both_stages(str(tmp_path / "alone"))
    for process in processes:
        process.communicate(timeout=120)
    assert [process.returncode for process in processes] == [0, 0]
    alone, first, second = (safetensors.torch.load_file(tmp_path / name) for name in ("alone", "0", "1"))
    assert [int(found.pop("processes")) for found in (alone, first, second)] == [1, 2, 2]
    named_as = {name.rpartition(" ")[0] for name in alone}
    steps = {"fine-tuned", "supernet", *map(str, range(1, 6))}
    assert named_as == {f"{kind} {step}" for kind in toy.TOGETHER for step in steps}
    assert all(torch.equal(first[name], second[name]) for name in alone)

    saved = {str(path.relative_to(tmp_path / "state of two")) for path in (tmp_path / "state of two").glob("*/*")}
    assert saved == {f"{kind} {stage}/step-4" for kind in toy.TOGETHER for stage in STAGES}
    assert {path.name for path in (tmp_path / "state of two/classification finetune/step-4").glob("rng*.json")} == {
        "rng_state_0.json",
        "rng_state_1.json",
    }

    # Keys' biases have no effect: their gradients are rounding errors, which AdamW turns into steps of full size.
    named = {name: value for name, value in alone.items() if "key.bias" not in name}
    for name, value in named.items():
        if " fine-tuned " not in name:
            torch.testing.assert_close(first[name], value, atol=1e-5, rtol=0, msg=lambda text, name=name: name + text)
    # Fine-tuning may compute in bfloat16, so its weights are compared with the way they went.
    for kind in toy.TOGETHER:
        initial = dict(tiny_model("bert", KINDS[kind].head).named_parameters())
        tuned = [name for name in named if name.startswith(f"{kind} fine-tuned ")]
        way = torch.cat([(alone[name] - initial[name.split()[-1]]).detach().flatten() for name in tuned])
        difference = torch.cat([(first[name] - alone[name]).flatten() for name in tuned])
        assert difference.norm() < 0.1 * way.norm()
