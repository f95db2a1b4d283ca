"""Which layers are matched, and what they are taught."""

import numpy as np
import pytest
import torch
from secateur.pruners.cofi.layers import layer_loss, match, surviving_layers, taught_layers
from secateur.search_space import SubnetMask


@pytest.mark.parametrize(
    ("layers", "taught"),
    [(12, (2, 5, 8, 11)), (6, (1, 2, 4, 5)), (4, (0, 1, 2, 3)), (3, (0, 1, 2)), (2, (0, 1)), (1, (0,))],
)
def test_which_layers_teach(layers, taught):
    assert taught_layers(layers) == taught


def test_a_layer_survives_with_either_block():
    heads = np.array([[1, 0], [0, 0], [0, 0], [1, 1]], bool)
    neurons = np.array([[1], [1], [0], [0]], bool)
    assert surviving_layers(SubnetMask(heads, neurons, np.ones(4, bool))) == [0, 1, 3]


DISTANCES = torch.tensor([[5.0, 1.0, 4.0], [4.0, 2.0, 1.0], [3.0, 0.5, 9.0]])


def test_free_matching_takes_the_nearest():
    assert sorted(match(DISTANCES, "free")) == [(0, 1), (1, 2), (2, 1)]


def test_ordered_matching_goes_down():
    assert match(DISTANCES, "ordered") == [(2, 1), (1, 0)]  # the lowest teacher has no candidate left
    assert match(DISTANCES.flip(1), "ordered") == [(2, 1), (1, 0)]
    diagonal = 1 - torch.eye(4)
    assert match(diagonal, "ordered") == [(3, 3), (2, 2), (1, 1), (0, 0)]
    assert match(torch.ones(4, 1), "ordered") == [(3, 0)]
    assert match(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), "ordered") == [(1, 1), (0, 0)]


def test_the_loss_of_matched_layers():
    generator = torch.Generator().manual_seed(0)

    def states(width: int, count: int) -> list[torch.Tensor]:
        return [torch.randn(7, width, generator=generator) for _ in range(count)]

    kept = np.array([1, 0, 1, 1, 0], bool)
    mask = SubnetMask(np.ones((2, 1), bool), np.ones((2, 1), bool), kept)
    layer_map = torch.randn(5, 5, generator=generator).requires_grad_()
    student, teacher = states(3, 2), states(5, 3)
    found = layer_loss(student, teacher, layer_map, mask, "free")
    mapped = [state @ layer_map[:, torch.from_numpy(kept)].T for state in student]
    expected = sum(min((m - t).square().mean() for m in mapped) for t in teacher)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert layer_map.grad is not None
    assert (layer_map.grad[:, ~torch.from_numpy(kept)] == 0).all()
    assert (layer_map.grad[:, torch.from_numpy(kept)] != 0).any()


def test_equal_states_have_no_loss_and_no_layers_neither():
    state = [torch.randn(4, 6, generator=torch.Generator().manual_seed(0)) for _ in range(3)]
    full = SubnetMask(np.ones((3, 1), bool), np.ones((3, 1), bool), np.ones(6, bool))
    assert float(layer_loss(state, state, torch.eye(6), full, "ordered")) == 0
    assert float(layer_loss([], state, torch.eye(6), full, "ordered")) == 0
