from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.pruners import make_pruner
from secateur.pruners.layer_drop import LayerDrop, LayerDropTuned, drop_order
from secateur.pruners.layer_drop_settings import LayerDropSettings
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.training.finetuning import finetune
from secateur.tests.pruners.trained import other_weights, pruned_by
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model

QUICK = LayerDropSettings(side="bottom", learning_rate=2e-3, batch_size=10, epochs=2, least_steps=0, save_seconds=0)


@pytest.mark.parametrize(
    ("side", "order"),
    [
        ("top", [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ("bottom", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("alternate", [10, 8, 6, 4, 2, 0, 9, 5, 1, 7, 3]),
    ],
)
def test_the_order_in_which_layers_go(side, order):
    assert drop_order(12, side) == order


@pytest.mark.parametrize(("density", "left"), [(1.0, 3), (0.99, 2), (0.67, 2), (0.66, 1), (0.34, 1)])
@pytest.mark.parametrize(("side", "gone"), [("top", [2, 1]), ("bottom", [0, 1]), ("alternate", [1, 0])])
def test_as_many_layers_stay_as_fit(tiny_models, side, gone, density, left):
    supernet = Supernet(tiny_models["bert"])
    pruned = LayerDrop(side).prune(supernet, toy_task(), density, np.random.default_rng(0))
    expected = np.ones(3, bool)
    expected[gone[: 3 - left]] = False
    assert pruned.mask == SubnetMask.from_counts(supernet.shape, expected * 4, expected * 24)
    assert pruned.density == pytest.approx(left / 3)
    assert pruned.model.config.num_hidden_layers == left


def test_one_layer_is_the_floor(tiny_models):
    supernet, pruner = Supernet(tiny_models["bert"]), LayerDrop("bottom")
    assert pruner.floor(supernet) == pytest.approx(1 / 3)
    with pytest.raises(InputError, match=r"layer_drop_bottom cannot go below a density of 0\.333 .* got 0\.3;"):
        pruner.prune(supernet, toy_task(), 0.3, np.random.default_rng(0))


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_others_are_fine_tuned_from_where_the_run_began():
    task, start = toy_task(), other_weights()
    pruned = pruned_by(LayerDropTuned(QUICK, rewind=start), density=0.7)
    assert pruned.mask == LayerDrop("bottom").prune(Supernet(start), task, 0.7, np.random.default_rng(0)).mask
    by_hand = extract(other_weights(), pruned.mask)
    finetune(by_hand, task, QUICK, seed=int(np.random.default_rng(0).integers(2**31)))
    assert same(pruned.model, by_hand)
    assert same(start, other_weights())
    assert not pruned.model.training
    told = pruned.provenance
    assert (told.method, told.labels, told.epochs, told.options["rewound"]) == ("layer_drop_tuned", 50, 2, True)
    assert not same(pruned.model, pruned_by(LayerDropTuned(QUICK), density=0.7).model)


def test_it_takes_as_many_steps_as_other_recipes():
    assert LayerDropSettings().least_steps == make_pruner("cofi").settings.least_steps
    for settings, steps in ((QUICK, 10), (QUICK.model_copy(update={"least_steps": 13}), 13)):
        seen = []
        pruned_by(LayerDropTuned(settings, report=seen.append), density=0.7)
        assert [one.done for one in seen] == list(range(1, steps + 1))


def test_a_training_that_was_killed_goes_on(tmp_path):
    class Stop(Exception):
        pass

    def breaking(progress):
        if progress.done == 5:
            raise Stop

    with pytest.raises(Stop):
        pruned_by(LayerDropTuned(QUICK, state=tmp_path, report=breaking), density=0.7)
    seen = []
    pruner = LayerDropTuned(QUICK, state=tmp_path, report=lambda progress: seen.append(progress.done))
    resumed = pruned_by(pruner, density=0.7)
    assert seen[0] > 1
    assert same(resumed.model, pruned_by(LayerDropTuned(QUICK), density=0.7).model)


def test_a_density_of_any_cost():
    def priced(mask: SubnetMask) -> float:
        return 1.0 + float(mask.heads.any(axis=1).sum())  # something costs as much as a layer

    pruner = make_pruner("layer_drop_tuned", cost=priced, settings=QUICK)
    assert pruned_by(pruner, density=0.6).mask.heads_per_layer == (0, 0, 4)
    assert pruned_by(LayerDropTuned(QUICK), density=0.7).mask.heads_per_layer == (0, 4, 4)


def test_nothing_to_train_on():
    task = toy_task()
    empty = replace(task, train=replace(task.train, input_ids=[], labels=task.train.labels[:0]))
    with pytest.raises(InputError, match="layer_drop_tuned needs at least 1 text of the training split"):
        LayerDropTuned(QUICK).prune(Supernet(tiny_model("bert")), empty, 0.5, np.random.default_rng(0))
