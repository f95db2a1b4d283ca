import numpy as np
import pytest
from secateur.errors import InputError
from secateur.pruners.importance import IMPORTANCES
from secateur.pruners.rank import Rank
from secateur.supernet import Supernet
from secateur.tests.supernet.toy import toy_task


def test_the_best_units_of_each_layer_are_kept(tiny_models):
    supernet, task = Supernet(tiny_models["bert"]), toy_task()
    pruned = Rank("fisher").prune(supernet, task, 0.5, np.random.default_rng(0))
    scores = IMPORTANCES["fisher"](supernet, task, np.random.default_rng(1))  # all texts are drawn either way
    for kept, values in ((pruned.mask.heads, scores.heads), (pruned.mask.neurons, scores.neurons)):
        assert not kept.all()
        for row, ranked in zip(kept, values, strict=True):
            assert ranked[row].min() > ranked[~row].max(initial=-np.inf)


@pytest.mark.parametrize(
    ("importance", "texts", "labels"), [("random", 0, 0), ("magnitude", 0, 0), ("r2d2", 50, 0), ("fisher", 50, 50)]
)
def test_what_was_looked_at_is_told(tiny_models, importance, texts, labels):
    pruner = Rank(importance)
    told = pruner.prune(Supernet(tiny_models["bert"]), toy_task(), 0.8, np.random.default_rng(0)).provenance
    assert (told.method, told.options) == (f"rank_{importance}", {"importance": importance})
    assert (told.texts, told.labels, told.gradients, told.epochs) == (texts, labels, labels > 0, 0)
    assert pruner.needs_labels == pruner.needs_gradients == (labels > 0)
    assert told.seconds > 0


def test_any_cost_can_be_the_budget(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    pruner = Rank("magnitude", cost=lambda mask: float(sum(mask.neurons_per_layer)))  # heads are free
    pruned = pruner.prune(supernet, toy_task(), 0.5, np.random.default_rng(0))
    assert pruned.mask.heads.all()
    assert sum(pruned.mask.neurons_per_layer) == 36
    assert pruned.density == pytest.approx(0.5)


def test_an_unknown_importance():
    with pytest.raises(InputError, match=r"unknown importance 'charm'; known: cam, .*smooth"):
        Rank("charm")
