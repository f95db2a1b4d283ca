import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from secateur.search_space import SPACES, EncoderShape

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_all_is_the_largest_and_nothing_leaves_a_network(name, elastic):
    space = SPACES[name](SHAPE, elastic_hidden=elastic)
    assert np.array_equal(space.uniform_cut(1.0), space.largest)
    assert space.mask(space.uniform_cut(0.0)).depth >= 1


@given(st.floats(0, 1))
def test_every_layer_keeps_the_first_of_its_units(share):
    masks = [SPACES[name](SHAPE).mask(SPACES[name](SHAPE).uniform_cut(share)) for name in ("small", "medium", "large")]
    assert len({mask.key for mask in masks}) == 1
    assert masks[0].heads_per_layer == (max(1, round(4 * share)),) * 3
    assert masks[0].neurons_per_layer == (max(1, round(24 * share)),) * 3
    assert (np.diff(masks[0].neurons.astype(int), axis=1) <= 0).all()


def test_layers_are_kept_whole():
    mask = SPACES["layer"](SHAPE).mask(SPACES["layer"](SHAPE).uniform_cut(2 / 3))
    assert mask.heads_per_layer == (4, 4, 0)
