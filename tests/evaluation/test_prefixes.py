import numpy as np
import pytest
import torch
from secateur.evaluation.evaluator import Evaluator
from secateur.evaluation.objectives import encoder_parameters
from secateur.evaluation.prefixes import Prefixes
from secateur.search_space import SPACES, SubnetMask

from .conftest import SHAPE, related_masks, split_error

FULL = SubnetMask.full(SHAPE)


def state(texts=2):
    return torch.zeros(texts, 5, 16)


BYTES = 4 * state().numel()


def test_the_least_recently_used_states_go_first():
    store = Prefixes(2 * BYTES)
    states = {name: state() for name in "abc"}
    store.store("a", 0, states["a"])
    store.store("b", 0, states["b"])
    assert store.find("a", 0) is states["a"]
    store.store("c", 0, states["c"])
    assert store.find("b", 0) is None
    assert store.find("a", 0) is states["a"]
    assert store.find("a", 1) is None
    assert (store.bytes, store.traffic.evicted) == (2 * BYTES, 1)
    store.store("huge", 0, state(5))
    assert store.find("huge", 0) is None
    assert store.find("c", 0) is states["c"]
    with pytest.raises(ValueError, match="at least 0 bytes, got -1"):
        Prefixes(-1)


def test_a_prefix_is_what_its_layers_keep_and_is_stored_when_it_occurs_again():
    store = Prefixes(10 * BYTES)
    store.of(FULL).batch(0).offer(2, state())
    assert store.bytes == 0
    heads = FULL.heads.copy()
    heads[2, 1:] = False  # the same first two layers
    found = state()
    store.of(SubnetMask(heads, FULL.neurons, FULL.hidden)).batch(0).offer(2, found)
    assert store.of(FULL).batch(0).deepest(1) is None
    assert store.of(FULL).batch(0).deepest(2) == (2, found)
    assert store.of(FULL).batch(1).deepest(2) is None
    narrow = SubnetMask(FULL.heads, FULL.neurons, np.arange(16) < 15)
    assert store.of(narrow).batch(0).deepest(2) is None
    assert store.traffic.saved == 2 * 2


def test_a_dropped_layer_changes_no_state():
    store = Prefixes(10 * BYTES)
    keep = np.array([[True], [False], [True]])
    gap = SubnetMask(FULL.heads & keep, FULL.neurons & keep, FULL.hidden)
    store.of(FULL)
    found = state()
    store.of(FULL).batch(0).offer(1, found)
    assert store.of(gap).batch(0).deepest(2) == (2, found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_shared_states_change_no_bit_of_any_output(supernet, split, name, elastic, dtype):
    rng = np.random.default_rng(len(name))
    masks = related_masks(SPACES[name](SHAPE, elastic_hidden=elastic), 24, rng)
    most = 500_000 if dtype == torch.float32 else 250_000  # one prefix takes 330,000 or 165,000
    plain = split_error(supernet, split, dtype=dtype)
    sharing = split_error(supernet, split, dtype=dtype, prefix_bytes=most)
    for mask in masks:
        depths = range(mask.depth - int(rng.integers(2)) if mask.depth else 0, mask.depth + 1)
        expected, found = plain.outputs(mask, depths), sharing.outputs(mask, depths)
        for depth in depths:
            np.testing.assert_array_equal(found[depth], expected[depth])
        assert 0 <= sharing.prefixes.bytes <= most
    assert sharing.prefixes.traffic.saved > 0
    assert sharing.prefixes.traffic.evicted > 0
    assert plain.prefixes.traffic.saved == plain.prefixes.bytes == 0


def test_every_family_shares(model, split):
    from secateur.supernet import Supernet

    supernet = Supernet(model)
    space = SPACES["medium"](supernet.shape)
    plain, sharing = (split_error(supernet, split, pad_token_id=1, prefix_bytes=n) for n in (0, 10**8))
    for mask in related_masks(space, 12, np.random.default_rng(0)):
        expected, found = (one.outputs(mask, (mask.depth,))[mask.depth] for one in (plain, sharing))
        np.testing.assert_array_equal(found, expected)
    assert sharing.prefixes.traffic.saved > 0


def test_all_that_a_subnetwork_has_in_common_is_saved(supernet, split):
    sharing = split_error(supernet, split, prefix_bytes=10**8)
    heads = FULL.heads.copy()
    for kept in (3, 2, 1):
        heads[2] = np.arange(4) < kept
        sharing.errors(SubnetMask(heads, FULL.neurons, FULL.hidden), (3,))
    assert sharing.prefixes.traffic.saved == 2 * len(split)
    sharing.errors(FULL, (1, 3))  # what is asked after one layer is not in the state after two
    assert sharing.prefixes.traffic.saved == 3 * len(split)
    sharing.errors(FULL, (0, 1, 2, 3))
    assert sharing.prefixes.traffic.saved == 3 * len(split)


def test_an_evaluator_with_two_data_sets_finds_the_same(supernet, split):
    masks = related_masks(SPACES["medium"](SHAPE), 30, np.random.default_rng(1))
    half = split_error(supernet, split).split
    found = []
    for most in (0, 500_000):
        errors = {name: split_error(supernet, half, prefix_bytes=most) for name in ("matched", "mismatched")}
        evaluator = Evaluator(errors, [encoder_parameters(supernet)])
        found.append([[(one.mask, one.values, one.asked) for one in evaluator(mask)] for mask in masks])
        assert all((one.prefixes.traffic.saved > 0) == (most > 0) for one in errors.values())
    assert found[0] == found[1]
