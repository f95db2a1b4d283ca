"""Refits are checked against the Hugging Face models themselves, watched where their LayerNorms read."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from secateur.pruners.calibration import calibration_batches
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract, kept_layers
from secateur.supernet.refit import WholeSums, refit
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model, with_copies


def texts(supernet, count=120, batch_size=8):
    return list(calibration_batches(supernet, toy_task(), count, np.random.default_rng(0), batch_size=batch_size))


def sums_of(supernet, batches=None, **arguments):
    return WholeSums(supernet, texts(supernet) if batches is None else batches, np.random.default_rng(0), **arguments)


def norm_inputs(model, family, layers, batches, mask, first_only_after=None):
    """Each block's sum with the residual stream at real tokens, by layer and kind: what its LayerNorm reads, if any.

    `layers` are their numbers in the whole model.
    """
    read, handles, now = defaultdict(list), [], {}

    def note(key, module, given):
        x, keep = given[0].detach(), now["keep"]
        read[key].append(x[:, 0] if key[0] == first_only_after else x[keep])

    for position, layer in enumerate(layers):
        if family.pre_norm:
            whole_layer = model.get_submodule(f"{family.layers}.{position}")
            handles.append(whole_layer.register_forward_pre_hook(lambda m, given: now.update(stream=given[0])))
        for kind, part in (("attention", "attention_output"), ("ffn", "ffn_out")):
            if not (mask.heads if kind == "attention" else mask.neurons)[layer].any():
                continue
            if family.pre_norm:

                def add(module, given, output, key=(layer, kind)):
                    now["stream"] = now["stream"] + output
                    note(key, module, [now["stream"]])

                handles.append(model.get_submodule(family.layer_path(position, part)).register_forward_hook(add))
                continue
            module = model.get_submodule(family.layer_path(position, f"{kind}_norm"))
            handles.append(module.register_forward_pre_hook(lambda m, g, key=(layer, kind): note(key, m, g)))
    with torch.no_grad():
        for batch in batches:
            now["keep"] = batch.real
            model(**batch.inputs)
    for handle in handles:
        handle.remove()
    return {key: torch.cat(parts) for key, parts in read.items()}


def random_mask(rng, hidden=False):
    heads, neurons = rng.random((3, 4)) < 0.5, rng.random((3, 24)) < 0.5
    heads[1] = False  # a block that is dropped
    heads[2, 0] = neurons[0, 0] = neurons[1, 0] = True
    kept = np.arange(16) < 10 if hidden else np.ones(16, bool)
    return SubnetMask(heads, neurons, kept)


@pytest.mark.parametrize("hidden", [False, True])
def test_errors_are_those_of_the_models_and_fall(headed, hidden):
    supernet = Supernet(headed)
    batches, mask = texts(supernet), random_mask(np.random.default_rng(1), hidden)
    model = extract(headed, mask)
    last = None if supernet.architecture.reads_tokens else 2
    whole = norm_inputs(headed, supernet.family, range(3), batches, SubnetMask.full(supernet.shape), last)
    before = norm_inputs(model, supernet.family, kept_layers(mask), batches, mask, last)
    errors = refit(model, mask, sums_of(supernet, batches))
    after = norm_inputs(model, supernet.family, kept_layers(mask), batches, mask, last)
    assert [(e.block.layer, e.block.kind) for e in errors] == list(after)
    assert len(errors) >= 4
    columns = torch.tensor(mask.hidden)
    for error in errors:
        key = (error.block.layer, error.block.kind)
        target = whole[key][:, columns]
        assert error.after == pytest.approx(float((target - after[key]).square().mean()), rel=1e-3, abs=1e-7)
        assert error.after <= error.before
    first = errors[0]
    key = (first.block.layer, first.block.kind)
    assert first.before == pytest.approx(float((whole[key][:, columns] - before[key]).square().mean()), rel=1e-4)
    assert sum(e.after for e in errors) < 0.9 * sum(e.before for e in errors)


def test_the_solution_is_that_of_the_normal_equations():
    model = tiny_model("bert", "token-classification")
    supernet = Supernet(model)
    mask = SubnetMask.from_counts(supernet.shape, [2, 4, 4], [24, 24, 24])
    batches = texts(supernet)
    small = extract(model, mask)
    flow = []
    module = small.get_submodule(supernet.family.layer_path(0, "attention_output"))
    handle = module.register_forward_pre_hook(lambda m, given: flow.append(given[0].detach()[batches[len(flow)].real]))
    before = norm_inputs(small, supernet.family, range(3), batches, mask)[0, "attention"]
    handle.remove()
    units, weight, bias = torch.cat(flow).double(), module.weight.double().clone(), module.bias.double().clone()
    whole = norm_inputs(model, supernet.family, range(3), batches, SubnetMask.full(supernet.shape))
    missing = whole[0, "attention"].double() - before.double()
    refit(small, mask, sums_of(supernet, batches), damping=0.5)
    centred = units - units.mean(0)
    penalty = 0.5 * float(centred.square().sum()) / units.shape[1]
    # Least squares with rows added for the penalty, by another routine than the one that is tested.
    rows = torch.cat([centred, penalty**0.5 * torch.eye(units.shape[1], dtype=torch.double)])
    wanted = torch.cat([missing - missing.mean(0), torch.zeros(units.shape[1], 16, dtype=torch.double)])
    change = torch.linalg.lstsq(rows, wanted).solution
    torch.testing.assert_close(module.weight.double(), weight + change.T, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        module.bias.double(), bias + missing.mean(0) - change.T @ units.mean(0), atol=1e-4, rtol=1e-4
    )


def test_what_others_can_make_up_for_costs_nothing(headed):
    """Neurons and heads that are copies of kept ones: after the refit the model is the whole one."""
    model = with_copies(headed)
    supernet = Supernet(model)
    mask = SubnetMask.from_counts(supernet.shape, [2, 2, 2], [6, 6, 6])
    small, batches = extract(model, mask), texts(supernet, 200)
    with torch.no_grad():
        batch = batches[0]
        expected, before = model(**batch.inputs), small(**batch.inputs)
        refit(small, mask, sums_of(supernet, batches), damping=1e-7)
        after = small(**batch.inputs)
    for name in expected:
        torch.testing.assert_close(after[name][batch.real] if after[name].ndim == 3 else after[name],
                                   expected[name][batch.real] if expected[name].ndim == 3 else expected[name],
                                   atol=0.02, rtol=0.02)  # fmt: skip
        assert (before[name] - expected[name]).abs().max() > 0.1


def test_the_whole_model_stays_as_it_is(model):
    supernet = Supernet(model)
    mask = SubnetMask.full(supernet.shape)
    copied = extract(model, mask)
    before = {name: tensor.clone() for name, tensor in copied.state_dict().items()}
    for error in refit(copied, mask, sums_of(supernet)):
        assert error.before < 1e-10
    for name, tensor in copied.state_dict().items():
        torch.testing.assert_close(tensor, before[name], atol=1e-4, rtol=1e-4)


def test_bfloat16_models_are_refitted_in_float32(tiny_models):
    supernet, mask = Supernet(tiny_models["bert"]), random_mask(np.random.default_rng(2))
    exact, rounded = extract(supernet.model, mask), extract(supernet.model, mask).bfloat16()
    wanted, found = refit(exact, mask, sums_of(supernet)), refit(rounded, mask, sums_of(supernet))
    assert {p.dtype for p in rounded.parameters()} == {torch.bfloat16}
    for a, b in zip(wanted, found, strict=True):
        assert b.after == pytest.approx(a.after, rel=0.15, abs=0.01)


def test_fewer_tokens_than_there_are(tiny_models):
    supernet, mask = Supernet(tiny_models["bert"]), random_mask(np.random.default_rng(3))
    target = sums_of(supernet, tokens=100)
    block = next(iter(target._sums))
    assert 60 < sum(len(part) for part in target._sums[block]) < 140
    assert all(error.after <= error.before for error in refit(extract(supernet.model, mask), mask, target))


def test_numbers_that_are_not_finite_change_nothing(tiny_models):
    supernet, mask = Supernet(tiny_models["bert"]), random_mask(np.random.default_rng(4))
    small = extract(supernet.model, mask)
    with torch.no_grad():
        small.get_submodule(supernet.family.layer_paths(0, "qkv")[-1]).weight[0, 0] = float("nan")
    before = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    refit(small, mask, sums_of(supernet))
    for name, tensor in small.state_dict().items():
        torch.testing.assert_close(tensor, before[name], equal_nan=True, atol=0, rtol=0)


def test_a_model_that_is_not_the_masks(tiny_models):
    supernet, rng = Supernet(tiny_models["bert"]), np.random.default_rng(5)
    small = extract(supernet.model, random_mask(rng, hidden=True))
    with pytest.raises(ValueError, match="the model to refit does not keep what its mask does"):
        refit(small, random_mask(rng), sums_of(supernet))
