import numpy as np
import pytest
from secateur.errors import InputError
from secateur.pruners.layer_drop import LayerDrop, drop_order
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.tests.supernet.toy import toy_task


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
