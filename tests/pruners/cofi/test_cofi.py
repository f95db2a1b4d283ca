"""The pruner: budget, learning, resuming, determinism, errors."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.model_error import model_error
from secateur.pruners import CoFi, make_pruner
from secateur.pruners.cofi.settings import CoFiSettings, Schedule
from secateur.supernet import Supernet
from secateur.supernet.heads import head_of
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import FinetuneSettings
from secateur.tests.pruners import trained
from secateur.tests.pruners.trained import other_weights
from secateur.tests.supernet import toy
from secateur.tests.tiny import padded_batch, tiny_model, tiny_regressor

QUICK = CoFiSettings(
    learning_rate=1e-3,
    final_learning_rate=1e-3,
    mask_learning_rate=0.2,
    multiplier_learning_rate=2.0,
    batch_size=8,
    distil_epochs=0.4,
    epochs=16,
    final_epochs=1,
    least_steps=0,
    save_seconds=0,
    precision="float32",
)
STEPS = 3 + 112 + 7  # of 50 texts
SHORT = QUICK.model_copy(update={"epochs": 8.0})  # for a density of 0.7
SHORT_STEPS = 3 + 56 + 7


pytestmark = pytest.mark.usefixtures("one_thread")


def changed(**values) -> CoFiSettings:
    return QUICK.model_copy(update=values)


pruned_by = partial(trained.pruned_by, density=0.5)


def same(one, other) -> bool:
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return all(name == other_name and torch.equal(a, b) for (name, a), (other_name, b) in pairs)


def test_the_density_is_met_and_the_model_is_cut(model):
    task = replace(toy.toy_task(), pad_token_id=model.config.pad_token_id)
    before = copy.deepcopy(model.state_dict())
    pruner = CoFi(QUICK)
    pruned = pruned_by(pruner, model, task, density=0.5)
    shape = Supernet(model).shape
    assert 0.49 < pruned.density <= 0.5
    layers = pruned.model.get_submodule(Supernet(model).family.layers)
    assert sum(p.numel() for p in layers.parameters()) == pruned.mask.encoder_parameters(shape)
    assert pruned.density == pytest.approx(pruned.mask.encoder_parameters(shape) / shape.encoder_parameters)
    assert pruned.model.config.secateur_key == pruned.mask.key
    assert not pruned.model.training
    assert pruned.model(**padded_batch(model)).logits.shape == (3, 3)
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


def test_it_learns_what_the_teacher_knows():
    model, task = tiny_model("bert"), toy.toy_task(200)
    finetune(model, task, FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=8), seed=0)
    notes = []
    settings = changed(learning_rate=4e-3, final_learning_rate=2e-3, epochs=4, final_epochs=2)
    pruner = CoFi(settings, report=lambda progress: notes.append((progress.loss, progress.note)))
    pruned = pruned_by(pruner, model, replace(task, train=replace(task.train, labels=-task.train.labels)), density=0.4)
    found = [pruned.model(input_ids=torch.from_numpy(row[None]).long()).logits for row in task.selection.input_ids]
    correct = torch.cat(found).argmax(1).numpy() == task.selection.labels
    assert correct.mean() > 0.6
    last = [loss for loss, note in notes if note == "training what is left"]
    first = [loss for loss, note in notes if note.startswith("sparsity")][-20:]
    assert np.mean(last[-20:]) < np.mean(first)


def test_progress_tells_sparsity_against_target():
    seen = []
    pruned_by(CoFi(QUICK, report=seen.append))
    assert [one.done for one in seen] == list(range(1, STEPS + 1))
    assert {one.total for one in seen} == {STEPS}
    notes = [one.note for one in seen]
    assert set(notes[:3]) == {"distilling"}
    assert set(notes[-7:]) == {"training what is left"}
    found = [tuple(float(part.split()[1]) for part in note.split(", ")) for note in notes[3:-7]]
    sparsity, target = zip(*found, strict=True)
    assert target[0] == pytest.approx(sparsity[0], abs=2e-3)
    assert list(target) == sorted(target)
    assert target[56:] == (0.5,) * 56
    assert sparsity[-1] == pytest.approx(0.5, abs=0.02)


def scored(settings):
    """Prune for a task; return the error of what comes out on its selection split, and those on the way there."""
    task, seen = toy.toy_task(), []
    pruned = pruned_by(CoFi(settings, report=seen.append), task=task, density=0.7)
    errors = {one.done: one.numbers["selection_error"] for one in seen if "selection_error" in one.numbers}
    rates = [one.numbers["learning_rate"] for one in seen]
    return model_error(pruned.model, task.selection, task.metric, pad_token_id=0), errors, rates


def test_the_best_moment_of_the_last_phase_is_kept():
    # So large a rate that the model comes and goes.
    wild = SHORT.model_copy(update={"final_learning_rate": 0.05, "final_epochs": 2.0, "checks": 14, "warmup": 0.0})
    error, errors, rates = scored(wild)
    assert list(errors) == list(range(SHORT_STEPS - 6, SHORT_STEPS + 8))
    assert error == min(errors.values()) < list(errors.values())[-1]
    assert rates[-14:] == pytest.approx([0.05 * (14 - i) / 14 for i in range(14)])
    last, nothing, _ = scored(wild.model_copy(update={"checks": 0}))
    assert (last, nothing) == (list(errors.values())[-1], {})


def test_without_labels_to_choose_by_the_last_is_kept():
    task, seen = toy.toy_task(), []
    blind = replace(task, selection=replace(task.selection, labels=np.full_like(task.selection.labels, -1)))
    pruned = pruned_by(CoFi(SHORT, report=seen.append), task=blind, density=0.7)
    assert all("selection_error" not in one.numbers for one in seen)
    assert same(pruned.model, pruned_by(CoFi(SHORT.model_copy(update={"checks": 0})), density=0.7).model)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def whole():
    """What a training that nothing interrupts makes."""
    return pruned_by(CoFi(SHORT), density=0.7)


@pytest.mark.parametrize("steps", [2, SHORT_STEPS - 7, SHORT_STEPS - 4])
def test_a_training_that_was_killed_goes_on(tmp_path, whole, steps):
    def breaking(progress):
        if progress.done == steps + 1:
            raise Stop

    with pytest.raises(Stop):
        pruned_by(CoFi(SHORT, state=tmp_path, report=breaking), density=0.7)
    assert [path.name for path in tmp_path.iterdir()] == [f"step-{steps}"]
    seen = []
    pruner = CoFi(SHORT, state=tmp_path, report=lambda progress: seen.append(progress.done))
    resumed = pruned_by(pruner, density=0.7)
    assert seen == list(range(steps + 1, SHORT_STEPS + 1))
    assert resumed.mask == whole.mask
    assert same(resumed.model, whole.model)


def test_a_damaged_checkpoint(tmp_path):
    (tmp_path / "step-5").mkdir()
    (tmp_path / "step-5" / "learnt.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"the checkpoint .*step-5 cannot be read .* delete that folder"):
        pruned_by(CoFi(QUICK, state=tmp_path))


def test_the_seed_decides(whole):
    again, other = (pruned_by(CoFi(SHORT), seed=seed, density=0.7) for seed in (0, 4))
    assert same(whole.model, again.model)
    assert whole.mask == again.mask != other.mask


def test_the_rewound_model_is_trained():
    model, rewound = tiny_model("bert"), other_weights()
    settings = changed(epochs=8, learning_rate=1e-9, final_learning_rate=1e-9)
    pruner = CoFi(settings, rewind=rewound)
    pruned = pruned_by(pruner, model, density=0.8)
    name = "classifier.weight"
    torch.testing.assert_close(pruned.model.get_parameter(name), rewound.get_parameter(name))
    assert (pruned.model.get_parameter(name) - model.get_parameter(name)).abs().min() > 0.05
    assert same(rewound, other_weights())
    assert pruned.provenance.options["rewound"] is True
    with pytest.raises(InputError, match="give the one the run began with"):
        pruned_by(CoFi(QUICK, rewind=tiny_model("roberta")))


@pytest.mark.parametrize("distillation", ["none", "predictions", "layers"])
def test_labels_are_used_only_without_a_teacher(distillation):
    task = toy.toy_task()
    flipped = replace(task, train=replace(task.train, labels=(task.train.labels + 1) % 3))
    pruner = CoFi(SHORT.model_copy(update={"distillation": distillation}))
    one, other = (pruned_by(pruner, task=which, density=0.7) for which in (task, flipped))
    assert same(one.model, other.model) == (distillation != "none")
    assert pruner.needs_labels == (distillation == "none")
    assert one.provenance.labels == (50 if pruner.needs_labels else 0)


def test_what_is_distilled_and_how_it_is_matched_matter(whole):
    ways = [{"distillation": "predictions"}, {"temperature": 5.0}]
    models = [pruned_by(CoFi(SHORT.model_copy(update=way)), density=0.7).model for way in ways]
    upside_down = tiny_model("bert")
    upside_down.bert.encoder.layer = upside_down.bert.encoder.layer[::-1]
    rewound = [CoFi(SHORT.model_copy(update={"matching": way}), rewind=upside_down) for way in ("free", "ordered")]
    models += [whole.model, *(pruned_by(pruner, density=0.7).model for pruner in rewound)]
    weights = [one.get_parameter("classifier.weight") for one in models]
    assert all(not torch.equal(a, b) for i, a in enumerate(weights) for b in weights[:i])


@pytest.mark.parametrize("kind", ["question-answering", "token-classification"])
def test_heads_that_read_every_token(kind):
    task, losses = toy.toy_task(kind=kind), []
    settings = changed(distillation="none", learning_rate=4e-3, final_learning_rate=2e-3)
    pruner = CoFi(settings, report=lambda progress: losses.append(progress.loss))
    pruned = pruned_by(pruner, tiny_model("bert", task.kind.head), task)
    assert 0.49 < pruned.density <= 0.5
    assert head_of(pruned.model) == task.kind.head
    assert np.mean(losses[-7:]) < 0.8 * np.mean(losses[:7])
    distilled = pruned_by(CoFi(SHORT), tiny_model("bert", task.kind.head), task, density=0.7)
    assert np.isfinite(model_error(distilled.model, task.selection, task.metric, pad_token_id=0))


def test_regression():
    pruned = pruned_by(CoFi(QUICK), tiny_regressor(), toy.as_numbers(toy.toy_task()))
    assert pruned.model(torch.tensor([[2, 5, 3]])).logits.shape == (1, 1)
    assert all(torch.isfinite(p).all() for p in pruned.model.parameters())


def test_its_bookkeeping():
    pruner = make_pruner("cofi")
    assert isinstance(pruner, CoFi)
    assert (pruner.name, pruner.recovery) == ("cofi", "native")
    assert pruner.needs_gradients
    assert not pruner.needs_labels
    provenance = pruned_by(CoFi(QUICK), density=0.5).provenance
    assert (provenance.method, provenance.texts, provenance.labels, provenance.gradients) == ("cofi", 50, 0, True)
    assert provenance.epochs == pytest.approx(STEPS / 7)
    assert provenance.seconds > 0
    assert provenance.options["expected_density"] == pytest.approx(0.5, abs=0.02)


def test_schedules():
    settings = CoFiSettings(batch_size=10, distil_epochs=1, epochs=4, final_epochs=2, least_steps=0, target_warmup=0.25)
    assert Schedule.of(settings, 95) == Schedule(distil=10, prune=40, rise=10, final=20, per_epoch=10)
    stretched = Schedule.of(settings.model_copy(update={"least_steps": 140}), 95)
    assert stretched == Schedule(distil=20, prune=80, rise=20, final=40, per_epoch=10)
    assert Schedule.of(settings.model_copy(update={"least_steps": 70}), 95).total == 70
    assert (stretched.pruned, stretched.total) == (100, 140)


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, "a share above 0 and at most 1, got 0;"),
        (1.5, "a share above 0 and at most 1, got 1.5;"),
        (1e-5, r"cofi cannot go below a density of 0\.000 on this model, got 1e-05;"),
    ],
)
def test_densities_out_of_range(density, message):
    with pytest.raises(InputError, match=message):
        pruned_by(CoFi(QUICK), density=density)


def test_a_stuck_sparsity_keeps_its_state(tmp_path):
    settings = changed(mask_learning_rate=1e-4, epochs=1)
    with pytest.raises(InputError, match=r"stuck at an expected density of 0\.9\d\d where 0\.2 was asked for"):
        pruned_by(CoFi(settings, state=tmp_path), density=0.2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-10"]


def test_other_bad_input():
    with pytest.raises(InputError, match="leave the cost out"):
        make_pruner("cofi", cost=lambda mask: 1.0)
    task = toy.toy_task()
    empty = replace(task, train=replace(task.train, input_ids=[], labels=task.train.labels[:0]))
    with pytest.raises(InputError, match="needs at least 1 text of the training split"):
        pruned_by(CoFi(QUICK), task=empty)
