from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.latency import LatencyTarget
from secateur.evaluation.model_error import file_outputs, model_error, model_outputs
from secateur.evaluation.serving import peak_memory
from secateur.search_space import SPACES, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.shipping.engines import ENGINES
from secateur.tasks.batches import collate
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model

from .conftest import SHAPE, related_masks, split_error


@pytest.fixture(scope="module")
def masks():
    space = SPACES["medium"](SHAPE)
    return [space.mask(x) for x in space.sample_by_size(5, np.random.default_rng(0))]


def test_logits_are_those_of_the_subnetwork_in_the_splits_order(supernet, split, masks):
    errors = split_error(supernet, split)
    batch = collate(split, np.arange(len(split)), pad_token_id=0)
    for mask in masks:
        logits = errors.outputs(mask, (mask.depth,))[mask.depth]
        expected = supernet.subnet(mask)(batch.input_ids, batch.attention_mask)
        np.testing.assert_allclose(logits, expected.numpy(), atol=2e-5, rtol=0)
        wrong = np.mean(expected.numpy().argmax(axis=1) != split.labels)
        assert errors.errors(mask, (mask.depth,)) == {mask.depth: pytest.approx(wrong)}


@pytest.mark.parametrize("head", ["sequence-classification", "token-classification"])
def test_an_onnx_files_outputs_are_in_the_splits_order_too(split, head):
    model, split = tiny_model("bert", head), replace(split, per_token=head == "token-classification")
    expected = model_outputs(model, split, pad_token_id=0)
    found = file_outputs(ENGINES["onnxruntime"].opened(model, int8=False), split, pad_token_id=0)
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=0)
    assert np.abs(found - found[::-1]).max() > 1e-3


def test_one_pass_gives_all_depths(supernet, split, masks):
    errors = split_error(supernet, split)
    for mask in masks:
        for depth, logits in errors.outputs(mask, range(4)).items():
            alone = errors.outputs(mask.truncated(depth), (3,))[3]
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


@pytest.fixture(scope="module", params=["question-answering", "token-classification"])
def per_token(request):
    """A task whose heads read each token, and a model for it."""
    return toy_task(kind=request.param), Supernet(tiny_model("roberta", request.param))


def test_outputs_of_each_token_are_in_the_splits_order(per_token, masks):
    task, supernet = per_token
    errors = split_error(supernet, task.selection, metric=task.metric)
    batch = collate(task.selection, np.arange(len(task.selection)), pad_token_id=1)
    for mask in masks:
        found = errors.outputs(mask, range(4))
        assert {len(outputs) for outputs in found.values()} == {int(task.selection.lengths.sum())}
        for depth, outputs in found.items():
            expected = supernet.subnet(mask.truncated(depth)).outputs(batch.input_ids, batch.attention_mask).numpy()
            np.testing.assert_allclose(outputs, expected, atol=2e-5, rtol=0)
            assert errors.errors(mask, (depth,)) == {depth: pytest.approx(task.metric.error(expected, task.selection))}


def test_shared_states_change_no_bit_of_any_tokens_output(per_token):
    task, supernet = per_token
    plain, sharing = (split_error(supernet, task.selection, metric=task.metric, prefix_bytes=n) for n in (0, 200_000))
    for mask in related_masks(SPACES["medium"](SHAPE), 20, np.random.default_rng(0)):
        expected, found = (one.outputs(mask, range(1, mask.depth + 1)) for one in (plain, sharing))
        for depth, outputs in expected.items():
            np.testing.assert_array_equal(found[depth], outputs)
    assert sharing.prefixes.traffic.saved > 0


def test_a_model_of_its_own_gives_the_same(per_token):
    task, supernet = per_token
    full = SubnetMask.full(SHAPE)
    found = model_outputs(supernet.model, task.selection, pad_token_id=1)
    expected = split_error(supernet, task.selection, metric=task.metric, pad_token_id=1).outputs(full, (3,))[3]
    np.testing.assert_allclose(found, expected, atol=2e-5, rtol=0)
    error = model_error(supernet.model, task.selection, task.metric, pad_token_id=1)
    assert error == pytest.approx(task.metric.error(expected, task.selection))


def test_a_process_that_answers_questions_has_a_peak_too():
    model = extract(tiny_model("bert", "question-answering"), SubnetMask.from_counts(SHAPE, [1, 0, 2], [3, 4, 0], 8))
    target = LatencyTarget(machine="here", threads=1, batch_size=1, sequence_length=8)
    assert peak_memory(model, target) > 50


def test_races_of_tokens_are_refused(per_token):
    task, supernet = per_token
    with pytest.raises(InputError, match=r"`racing` needs accuracy, an F1, .* is \w+; search without it"):
        split_error(supernet, task.selection, metric=task.metric).race(SubnetMask.full(SHAPE), {3: 0.5})
