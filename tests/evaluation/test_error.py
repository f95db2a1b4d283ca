import numpy as np
import pytest
import torch
from secateur.search_space import SPACES
from secateur.tasks.batches import collate

from .conftest import SHAPE, split_error


@pytest.fixture(scope="module")
def masks():
    space = SPACES["medium"](SHAPE)
    return [space.mask(x) for x in space.sample_by_size(5, np.random.default_rng(0))]


def test_logits_are_those_of_the_subnetwork_in_the_splits_order(supernet, split, masks):
    errors = split_error(supernet, split)
    batch = collate(split, np.arange(len(split)), pad_token_id=0)
    for mask in masks:
        logits = errors.logits(mask, (mask.depth,))[mask.depth]
        expected = supernet.subnet(mask)(batch.input_ids, batch.attention_mask)
        np.testing.assert_allclose(logits, expected.numpy(), atol=2e-5, rtol=0)
        wrong = np.mean(expected.numpy().argmax(axis=1) != split.labels)
        assert errors.errors(mask, (mask.depth,)) == {mask.depth: pytest.approx(wrong)}


def test_one_pass_gives_all_depths(supernet, split, masks):
    errors = split_error(supernet, split)
    for mask in masks:
        for depth, logits in errors.logits(mask, range(4)).items():
            alone = errors.logits(mask.truncated(depth), (3,))[3]
            np.testing.assert_allclose(logits, alone, atol=2e-5, rtol=0)


def test_outputs_that_are_not_numbers_have_no_error(supernet, split, masks):
    errors = split_error(supernet, split)
    name = f"{supernet.family.layer_path(1, 'ffn_out')}.bias"
    whole = SPACES["medium"](SHAPE).mask(SPACES["medium"](SHAPE).largest)
    before = supernet.parameters[name].detach().clone()
    with torch.no_grad():
        supernet.parameters[name].fill_(float("nan"))
        found = errors.errors(whole, (3, 1))
        raced = errors.race(whole, {3: 1.0, 1: 1.0})
        supernet.parameters[name].copy_(before)
    assert np.isnan(found[3])
    assert not np.isnan(found[1])
    assert np.isnan(raced[3].error)
    assert raced[3].rows is None
    assert raced[1].error == pytest.approx(found[1])
