"""One candidate of standard NAS: what it is trained from, on and for how long."""

import copy
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from secateur.evaluation.error import SplitError
from secateur.evaluation.model_error import model_error
from secateur.run.stages.candidate import CandidateTrainer
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.stored.storage import load_model
from secateur.supernet.training.divergence import Diverged
from secateur.supernet.training.finetuning import finetune
from secateur.supernet.training.settings import FinetuneSettings
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model

HEADS = ([3, 0, 2], [0, 0, 0])
NEURONS = ([0, 0, 0], [9, 24, 0])
NOTHING = ([0, 0, 0], [0, 0, 0])
MIXED = ([1, 0, 3], [5, 24, 0])
SETTINGS = FinetuneSettings(learning_rate=4e-3, batch_size=16, epochs=3, save_seconds=0)


class Stop(Exception):
    pass


@pytest.fixture
def make(tiny_tokenizer, tmp_path):
    def make(model, folder: Path = tmp_path) -> CandidateTrainer:
        return CandidateTrainer(
            model=model,
            tokenizer=tiny_tokenizer,
            task=toy.toy_task(),
            settings=SETTINGS,
            seed=7,
            dtype=torch.float32,
            state=folder / "state",
            weights=folder / "weights",
        )

    return make


def mask_of(model, counts):
    return SubnetMask.from_counts(Supernet(model).shape, *counts)


def selection_error(model):
    task = toy.toy_task()
    return model_error(model, task.selection, task.metric, pad_token_id=0)


@pytest.mark.parametrize("counts", [HEADS, NEURONS, NOTHING, MIXED])
def test_the_error_of_an_extracted_model_is_that_of_the_slices(model, counts):
    task, mask = toy.toy_task(), mask_of(model, counts)
    sliced = SplitError(Supernet(model), task.selection, task.metric, pad_token_id=0).errors(mask, (mask.depth,))
    assert selection_error(extract(model, mask)) == pytest.approx(sliced[mask.depth], abs=0.006)  # one of 200 texts
    broken = extract(model, mask)
    with torch.no_grad():
        next(p for name, p in broken.named_parameters() if "classifier" in name or "out_proj" in name).fill_(math.nan)
    assert math.isnan(selection_error(broken))


@pytest.mark.parametrize("counts", [HEADS, NEURONS, NOTHING, MIXED])
def test_it_is_fine_tuned_alone_and_its_best_epoch_is_kept(make, counts, tmp_path):
    model, told, after = tiny_model("bert"), [], {}
    before = copy.deepcopy(model.state_dict())
    mask = mask_of(model, counts)
    trained = make(model).train(mask, lambda epoch, error: not told.append((epoch, error)))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())

    plain = extract(model, mask)
    state = lambda epoch: after.update({epoch: copy.deepcopy(plain.state_dict())}) is None  # noqa: E731
    finetune(plain, toy.toy_task(), SETTINGS, seed=7, after_epoch=state)
    errors = []
    for weights in after.values():
        plain.load_state_dict(weights)
        errors.append(selection_error(plain))
    assert told == list(enumerate(errors, 1))
    assert (trained.error, trained.epochs) == (min(errors), 3)
    assert trained.seconds > 0
    kept = load_model(tmp_path / "weights" / mask.key)
    best = after[1 + int(np.argmin(errors))]
    assert all(torch.equal(best[name], value) for name, value in kept.state_dict().items())
    assert selection_error(kept) == trained.error


def test_a_stopped_one_has_fewer_epochs(make, tmp_path):
    model, told = tiny_model("bert"), []
    mask = mask_of(model, MIXED)
    trained = make(model).train(mask, lambda epoch, error: told.append((epoch, error)) or epoch < 2)
    assert [epoch for epoch, _ in told] == [1, 2]
    assert trained.epochs == 2
    assert trained.error == min(error for _, error in told)
    assert selection_error(load_model(tmp_path / "weights" / mask.key)) == trained.error


def test_one_that_fails_is_kept_nowhere(make, tmp_path):
    model = tiny_model("bert")
    with torch.no_grad():
        model.classifier.bias.fill_(math.nan)
    mask = mask_of(model, MIXED)
    with pytest.raises(Diverged, match="at step 1 of 12: its loss is nan"):
        make(model).train(mask, lambda epoch, error: math.isfinite(error))
    assert not (tmp_path / "weights").exists()


@pytest.mark.parametrize("broken", [1, 2, 3])
def test_broken_off_after_an_epoch_it_is_gone_on_with(make, tmp_path, broken):
    """The epoch that was under way is looked at again, those before are not."""
    model, seen = tiny_model("bert"), []
    mask = mask_of(model, MIXED)
    calm = make(model, tmp_path / "calm").train(mask, lambda *_: True)

    def breaking(epoch, error):
        if epoch == broken:
            raise Stop
        return True

    with pytest.raises(Stop):
        make(model).train(mask, breaking)
    found = make(model)
    again = found.train(mask, lambda epoch, error: not seen.append(epoch))
    assert seen == [1, 2, 3]  # what is known already is told again, for the judge may have been restored
    assert (again.error, again.epochs) == (calm.error, calm.epochs)
    weights = [tmp_path / folder / f"weights/{mask.key}/model.safetensors" for folder in (".", "calm")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_one_that_was_done_is_not_trained_again(make, tmp_path):
    model = tiny_model("bert")
    mask, other = mask_of(model, MIXED), mask_of(model, HEADS)
    first = make(model).train(mask, lambda *_: True)
    with torch.no_grad():
        model.classifier.weight.zero_()  # training from this would give another error
    again = make(model).train(mask, lambda *_: True)
    assert (again.error, again.epochs) == (first.error, first.epochs)
    assert again.seconds == pytest.approx(first.seconds, abs=0.05)  # the clock was read once more
    assert make(model).train(other, lambda *_: True).error != first.error  # another candidate begins afresh
