"""The distribution's closed forms against known values and against what is drawn."""

import math

import pytest
import torch
from secateur.pruners.cofi.hard_concrete import LARGEST, open_probability, sample, soft_value, survivors

LOGITS = [-LARGEST, -2.0, -1.0, 0.0, 1.0, 2.0, LARGEST]
DRAWS = 200_000


def drawn(logit: float, seed: int = 0) -> torch.Tensor:
    return sample(torch.full((DRAWS,), logit), torch.Generator().manual_seed(seed))


def test_probability_of_being_open():
    expected = [0.047130, 0.400975, 0.645335, 0.831822, 0.930771, 0.973367, 0.997982]
    found = open_probability(torch.tensor(LOGITS, dtype=torch.float64))
    assert found.tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("logit", "mean", "ones"), [(-1, 0.2931, 0.0692), (0, 0.4999, 0.1682), (1, 0.7066, 0.3547)])
def test_what_is_drawn(logit, mean, ones):
    z = drawn(logit)
    assert 0 <= float(z.min()) <= float(z.max()) <= 1
    assert float(z.mean()) == pytest.approx(mean, abs=0.004)
    assert float((z == 1).float().mean()) == pytest.approx(ones, abs=0.004)
    assert float((z > 0).float().mean()) == pytest.approx(float(open_probability(torch.tensor(logit))), abs=0.004)


def test_open_and_one_mirror_each_other():
    for logit in LOGITS:
        ones = float((drawn(-logit, seed=1) == 1).float().mean())
        assert float(open_probability(torch.tensor(logit))) + ones == pytest.approx(1.0, abs=0.004)


def test_the_gradient_of_a_draw():
    logits = torch.linspace(-3, 3, 200, dtype=torch.float64, requires_grad=True)

    def z(values):
        return sample(values, torch.Generator().manual_seed(3))

    (gradient,) = torch.autograd.grad(z(logits).sum(), logits)
    step = 1e-6
    with torch.no_grad():
        expected = (z(logits + step) - z(logits - step)) / (2 * step)
    torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-5)
    assert (gradient > 0).any()
    assert (gradient[z(logits) == 0] == 0).all()


def test_soft_values():
    found = soft_value(torch.tensor([0.0, 1.0, 2.0, LARGEST]))
    assert found.tolist() == pytest.approx([0.5, 0.7685, 0.9168, 0.9960], abs=5e-5)


def test_as_many_survive_as_are_expected_to():
    logits = torch.randn(50, 33, generator=torch.Generator().manual_seed(0)) * 3
    for group, kept in zip(logits, survivors(logits), strict=True):
        expected = sum(1 / (1 + math.exp(-(alpha + 1.598597))) for alpha in group.tolist())
        assert int((~kept).sum()) == round(33 - expected)
        if kept.any() and not kept.all():
            assert group[kept].min() > group[~kept].max()


def test_groups_of_one_survive_if_they_are_likelier_open_than_not():
    logits = torch.tensor([[-1.62], [-1.58], [3.0], [-4.0]])
    assert survivors(logits)[:, 0].tolist() == [False, True, True, False]
