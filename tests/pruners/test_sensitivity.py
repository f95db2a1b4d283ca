"""Sensitivities are checked against what the outputs do when a bias behind a block moves."""

import copy

import numpy as np
import pytest
import torch
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.sensitivity import sensitivities
from secateur.supernet import Supernet
from secateur.supernet.refit import WholeSums
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model, tiny_regressor


def sums_of(supernet, texts=60):
    rng = np.random.default_rng(0)
    return WholeSums(supernet, list(calibration_batches(supernet, toy_task(), texts, rng)), rng)


def moved(model, family, block, batches, error):
    """What the outputs do when every token's sum of a block moves by an error: its mean square over texts."""
    other = copy.deepcopy(model).double()
    part = "attention_output" if block.kind == "attention" else "ffn_out"
    squares = []
    for batch in batches:
        with torch.no_grad():
            before = copy.deepcopy(model).double()(**batch.inputs).logits
            bias = other.get_submodule(family.layer_path(block.layer, part)).bias
            bias.add_(error)
            after = other(**batch.inputs).logits
            bias.sub_(error)
        squares.append((after - before).square().sum(1))
    return float(torch.cat(squares).mean()) / float(error.square().sum())


@pytest.mark.parametrize("kind", ["attention", "ffn"])
def test_one_output_is_exact(kind):
    supernet = Supernet(tiny_regressor())
    target = sums_of(supernet)
    found = sensitivities(target, np.random.default_rng(1))
    block = next(block for block in found if block.kind == kind)
    error = 1e-5 * torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = moved(supernet.model, supernet.family, block, target.batches, error)
    assert float(error @ found[block] @ error / error.square().sum()) == pytest.approx(expected, rel=1e-3)


def test_several_outputs_in_the_mean_over_signs(tiny_models):
    supernet = Supernet(tiny_models["distilbert"])
    target = sums_of(supernet)
    draws = [sensitivities(target, np.random.default_rng(seed)) for seed in range(20)]
    block = list(draws[0])[-1]
    assert block.first_only
    mean = torch.stack([draw[block] for draw in draws]).mean(0)
    error = 1e-5 * torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    expected = moved(supernet.model, supernet.family, block, target.batches, error)
    assert float(error @ mean @ error / error.square().sum()) == pytest.approx(expected, rel=0.1)


def test_every_family_and_head(headed):
    supernet = Supernet(headed)
    before = {name: tensor.clone() for name, tensor in headed.state_dict().items()}
    target = sums_of(supernet, 16)
    one, other = (sensitivities(target, np.random.default_rng(2)) for _ in range(2))
    assert len(one) == 6
    for block, matrix in one.items():
        assert torch.equal(matrix, other[block])
        assert float(torch.linalg.eigvalsh(matrix)[-1]) > 0
        torch.testing.assert_close(matrix, matrix.T)
    assert all(torch.equal(before[name], tensor) for name, tensor in headed.state_dict().items())
    assert all(parameter.grad is None for parameter in headed.parameters())
    assert not any(module._forward_hooks for module in headed.modules())


def test_bfloat16():
    supernet = Supernet(tiny_model("roberta").bfloat16())
    exact = Supernet(tiny_model("roberta").bfloat16().float())
    both = [sensitivities(sums_of(net, 30), np.random.default_rng(0)) for net in (supernet, exact)]
    for one, other in zip(both[0].values(), both[1].values(), strict=True):
        assert float(one.trace()) == pytest.approx(float(other.trace()), rel=0.2)
