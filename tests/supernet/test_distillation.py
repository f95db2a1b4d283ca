"""Losses against numbers worked out by hand."""

from math import log

import pytest
import torch
from secateur.supernet.distillation import distillation_loss, label_loss
from torch.nn import functional


def test_label_loss_is_cross_entropy():
    logits = torch.tensor([[0.0, log(3.0)], [0.0, 0.0]])  # probabilities (1/4, 3/4) and (1/2, 1/2)
    assert float(label_loss(logits, torch.tensor([1, 0]))) == pytest.approx((log(4 / 3) + log(2)) / 2)
    assert float(label_loss(logits, torch.tensor([0, 1]))) == pytest.approx((log(4) + log(2)) / 2)


def test_label_loss_of_numbers_is_the_squared_error():
    outputs = torch.tensor([[1.0], [5.0]])
    assert float(label_loss(outputs, torch.tensor([3.0, 4.5]))) == pytest.approx((4 + 0.25) / 2)


@pytest.mark.parametrize("temperature", [2.0, 10.0])
@pytest.mark.parametrize("label_weight", [0.0, 0.5, 1.0])
def test_distillation_by_hand(temperature, label_weight):
    student = torch.tensor([[0.0, temperature * log(3.0)]])  # softened: (1/4, 3/4)
    teacher = torch.tensor([[temperature * log(3.0), 0.0]])  # softened: (3/4, 1/4)
    soft = -(0.75 * log(0.25) + 0.25 * log(0.75))
    hard = log(1 + 3.0**-temperature)  # of class 1, at temperature 1
    got = distillation_loss(student, teacher, torch.tensor([1]), temperature=temperature, label_weight=label_weight)
    assert float(got) == pytest.approx(temperature**2 * soft + label_weight * hard, rel=1e-5)


def test_the_default_is_the_papers():
    student, teacher, labels = torch.randn(4, 3), torch.randn(4, 3), torch.tensor([0, 2, 1, 1])
    expected = distillation_loss(student, teacher, labels, temperature=10.0, label_weight=1.0)
    assert torch.equal(distillation_loss(student, teacher, labels), expected)


def test_gradient_is_that_of_the_divergence():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(5, 3, generator=generator, requires_grad=True)
    teacher = torch.randn(5, 3, generator=generator, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 2, 1])
    t = 4.0
    distillation_loss(student, teacher, labels, temperature=t, label_weight=0.0).backward()
    by_hand = t * (torch.softmax(student / t, 1) - torch.softmax(teacher / t, 1)) / 5
    torch.testing.assert_close(student.grad, by_hand.detach())
    assert teacher.grad is None

    again = student.detach().requires_grad_()
    divergence = functional.kl_div(
        torch.log_softmax(again / t, 1), torch.softmax(teacher.detach() / t, 1), reduction="batchmean"
    )
    (t * t * divergence).backward()
    torch.testing.assert_close(student.grad, again.grad)


def test_an_equal_student_learns_nothing_from_its_teacher():
    student = torch.randn(5, 3, requires_grad=True)
    distillation_loss(student, student.detach(), torch.zeros(5, dtype=torch.int64), label_weight=0.0).backward()
    torch.testing.assert_close(student.grad, torch.zeros(5, 3), atol=1e-6, rtol=0)


def test_regression_is_the_squared_distance_to_the_teacher():
    student, teacher, labels = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.5], [0.0]]), torch.tensor([9.0, 9.0])
    for weight in (0.0, 1.0):
        assert float(distillation_loss(student, teacher, labels, label_weight=weight)) == (0.25 + 4) / 2


def test_losses_of_short_floats_are_float32():
    student, teacher = torch.randn(4, 3).bfloat16(), torch.randn(4, 3).bfloat16()
    for labels in (torch.tensor([0, 2, 1, 1]), torch.rand(4)):
        outputs = student if labels.dtype == torch.int64 else student[:, :1]
        assert label_loss(outputs, labels).dtype == torch.float32
        assert distillation_loss(outputs, teacher[:, : outputs.shape[1]], labels).dtype == torch.float32
