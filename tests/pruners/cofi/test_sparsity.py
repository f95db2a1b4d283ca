"""Expected sparsity against BERT-base's numbers and against the sums written out; the Lagrangian."""

import itertools

import pytest
import torch
from secateur.errors import InputError
from secateur.pruners.cofi.hard_concrete import LARGEST, open_probability
from secateur.pruners.cofi.masks import MaskValues, new_logits
from secateur.pruners.cofi.sparsity import (
    Lagrangian,
    check_sparsity,
    expected_sparsity,
    head_parameters,
    maskable_parameters,
)
from secateur.search_space import EncoderShape

BERT_BASE = EncoderShape(num_layers=12, num_heads=12, head_size=64, hidden_size=768, intermediate_size=3072)
SMALL = EncoderShape(num_layers=2, num_heads=3, head_size=2, hidden_size=6, intermediate_size=5)
CPU = torch.device("cpu")
OPEN = 100.0


def filled(value: float, **others: float) -> MaskValues:
    values = MaskValues.full(BERT_BASE, value).map(torch.Tensor.double)
    for name, other in others.items():
        getattr(values, name).fill_(other)
    return values


def sparsity(values: MaskValues) -> float:
    return expected_sparsity(values, BERT_BASE).item()


def test_sizes_of_bert_base():
    assert head_parameters(BERT_BASE) == 196_864
    assert maskable_parameters(BERT_BASE) == 85_017_600
    assert maskable_parameters(BERT_BASE) - 12 * 12 * 196_864 == 12 * 4_722_432


def test_sparsity_of_bert_base():
    assert sparsity(filled(OPEN)) == pytest.approx(0.000542, abs=5e-7)
    assert sparsity(filled(LARGEST, neurons=0.0)) == pytest.approx(0.116799, abs=5e-7)
    assert sparsity(filled(-LARGEST)) == pytest.approx(0.999895, abs=5e-7)
    alone = [sparsity(filled(OPEN, **{name: -LARGEST})) for name in vars(filled(0.0))]
    assert max(alone) == pytest.approx(0.9529, abs=5e-5)


def test_masks_are_born_open():
    logits = new_logits(BERT_BASE, torch.Generator().manual_seed(0), CPU)
    assert sparsity(logits) == pytest.approx(0.1168, abs=2e-4)
    assert all(part.requires_grad for part in logits)
    again = new_logits(BERT_BASE, torch.Generator().manual_seed(0), CPU)
    assert all(torch.equal(a, b) for a, b in zip(logits, again, strict=True))


def random_logits() -> MaskValues:
    generator = torch.Generator().manual_seed(0)
    values = MaskValues.full(SMALL, 0.0)
    return values.map(lambda part: torch.randn(part.shape, generator=generator, dtype=torch.float64) * 2)


def test_the_sums_written_out():
    q = random_logits().map(open_probability)
    kept = 0.0
    for k, layer in itertools.product(range(6), range(2)):
        for head in range(3):
            kept += (4 * 2 * 6 + 4 * 2) / 6 * q.hidden[k] * q.attention[layer] * q.heads[layer, head]
        for neuron in range(5):
            kept += 2 * q.hidden[k] * q.ffn[layer] * q.neurons[layer, neuron]
    whole = 2 * (4 * 6 * 6 + 4 * 6 + 2 * 6 * 5 + 6 + 5)
    assert float(expected_sparsity(random_logits(), SMALL)) == pytest.approx(1 - float(kept) / whole, abs=1e-12)


def test_its_gradient():
    parts = [part.requires_grad_() for part in random_logits()]
    assert torch.autograd.gradcheck(lambda *values: expected_sparsity(MaskValues(*values), SMALL), parts)


def test_the_target_rises_and_stays():
    lagrangian = Lagrangian(start=0.1, target=0.6, warmup=10, device=CPU)
    assert [lagrangian.target(step) for step in (0, 5, 10, 99)] == pytest.approx([0.1, 0.35, 0.6, 0.6])
    assert Lagrangian(start=0.1, target=0.6, warmup=0, device=CPU).target(0) == 0.6


def test_the_multipliers_ascend():
    lagrangian = Lagrangian(start=0.0, target=0.6, warmup=0, device=CPU)
    assert lagrangian.penalty(torch.tensor(0.2), 0).item() == 0.0
    optimizer = torch.optim.SGD([lagrangian.multipliers], lr=0.5, maximize=True)
    path = []
    for found in (0.2, 0.3, 0.7, 0.9, 0.6):
        optimizer.zero_grad()
        lagrangian.penalty(torch.tensor(found), 0).backward()
        optimizer.step()
        path.append(lagrangian.multipliers.tolist())
    gaps = [-0.4, -0.3, 0.1, 0.3, 0.0]
    first, second = zip(*path, strict=True)
    assert first == pytest.approx([0.5 * sum(gaps[: n + 1]) for n in range(5)])
    assert second == pytest.approx([0.5 * sum(gap * gap for gap in gaps[: n + 1]) for n in range(5)])
    assert list(second) == sorted(second)


def test_too_dense_masks_are_pushed_to_be_sparser():
    lagrangian = Lagrangian(start=0.0, target=0.6, warmup=0, device=CPU)
    with torch.no_grad():
        lagrangian.multipliers.copy_(torch.tensor([-2.0, 1.0]))  # as after some steps of too little sparsity
    sparsity = torch.tensor(0.2, requires_grad=True)
    lagrangian.penalty(sparsity, 0).backward()
    assert sparsity.grad is not None
    assert float(sparsity.grad) == pytest.approx(-2.0 + 2 * 1.0 * -0.4)


@pytest.mark.parametrize("found", [0.3, 0.7, float("nan")])
def test_a_stuck_sparsity(found):
    message = rf"stuck at an expected density of {1 - found:.3f} where 0\.5 was asked for; give more steps"
    with pytest.raises(InputError, match=message):
        check_sparsity(found, 0.5)


def test_a_sparsity_that_came_near():
    check_sparsity(0.49, 0.5)
    check_sparsity(0.51, 0.5)
