"""Attention and dropout against their definitions."""

import pytest
import torch
from secateur.supernet.attention import attend, drop
from torch import Tensor


def by_definition(query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None) -> Tensor:
    """Return softmax(Q K^T / sqrt(d)) V in float64."""
    query, key, value = query.double(), key.double(), value.double()
    scores = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    if keep is not None:
        scores = scores.masked_fill(~keep[:, None, None, :], float("-inf"))
    return (scores.softmax(3) @ value).transpose(1, 2).flatten(2)


def inputs(queries: int, keys: int, *, scale: float = 1.0, dtype=torch.float32, grad: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(queries + keys)
    parts = [torch.randn(3, 2, n, 8, generator=generator) for n in (queries, keys, keys)]
    return [(part * factor).to(dtype).requires_grad_(grad) for part, factor in zip(parts, (scale, scale, 1.0))]


def padding(keys: int) -> Tensor:
    """The first row is whole, the second half full, the third has one token."""
    return torch.arange(keys) < torch.tensor([[keys], [(keys + 1) // 2], [1]])


SIZES = [(1, 1), (7, 7), (1, 7), (64, 64), (65, 65), (1, 100), (130, 130)]  # on both sides of where the kernels change


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
@pytest.mark.parametrize("scale", [1.0, 0.0, 8.0], ids=["usual", "zero", "huge"])
def test_attention_is_its_definition(queries, keys, padded, scale):
    q, k, v = inputs(queries, keys, scale=scale)
    keep = padding(keys) if padded else None
    torch.testing.assert_close(attend(q, k, v, keep).double(), by_definition(q, k, v, keep), atol=2e-5, rtol=1e-4)


def test_huge_scores_would_overflow():
    """Else the test above would not show that they are caught: exp(89) is infinite in float32."""
    q, k, _ = inputs(7, 7, scale=8.0)
    assert (q @ k.transpose(2, 3) / 8**0.5).max() > 89


@pytest.mark.parametrize("keys", [7, 64, 100])
def test_scores_at_the_edge(keys):
    """All weights of a row are tiny, or one is far above the others."""
    q = torch.full((1, 1, 1, 8), 8**0.5)
    scores = torch.linspace(-59.0, 59.0, keys)
    v = torch.randn(1, 1, keys, 8, generator=torch.Generator().manual_seed(0))
    for shift in (scores, scores * 0 - 59.9, scores * 0 + 59.9):
        k = shift[None, None, :, None].expand(1, 1, keys, 8) / 8
        torch.testing.assert_close(attend(q, k, v, None).double(), by_definition(q, k, v, None), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_bfloat16_is_close(queries, keys, grad):
    q, k, v = inputs(queries, keys, dtype=torch.bfloat16, grad=grad)
    keep = padding(keys)
    got = attend(q, k, v, keep)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.double(), by_definition(q, k, v, keep), atol=0.05, rtol=0.02)


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("scale", [1.0, 8.0], ids=["usual", "huge"])
def test_gradients_are_its_definitions(queries, keys, scale):
    keep = padding(keys)
    ours, theirs = inputs(queries, keys, scale=scale, grad=True), inputs(queries, keys, scale=scale, grad=True)
    weights = torch.randn(3, queries, 16, generator=torch.Generator().manual_seed(9))
    (attend(*ours, keep) * weights).sum().backward()
    (by_definition(*theirs, keep).float() * weights).sum().backward()
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one.grad, other.grad, atol=2e-4, rtol=1e-3)
        assert torch.isfinite(one.grad).all()


@pytest.mark.parametrize(("queries", "keys"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 8.0], ids=["usual", "huge"])
@pytest.mark.parametrize("dropout", [0.0, 0.1], ids=["", "dropout"])
def test_a_text_without_a_real_token_attends_to_nothing(queries, keys, dtype, scale, dropout):
    parts = inputs(queries, keys, scale=scale, dtype=dtype, grad=True)
    keep = padding(keys)
    keep[1] = False
    with torch.no_grad():
        assert not attend(*parts, keep)[1].any()
    out = attend(*parts, keep, dropout)
    assert not out[1].any()
    assert out[0].any()
    assert out.isfinite().all()
    out.float().square().sum().backward()
    for part in parts:
        assert part.grad.isfinite().all()
        assert not part.grad[1].any()


def test_texts_padded_on_the_left_are_others_alike():
    q, k, v = inputs(7, 7)
    keep = padding(7).flip(1)
    torch.testing.assert_close(attend(q, k, v, keep).double(), by_definition(q, k, v, keep), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("keys", [9, 70])
@pytest.mark.parametrize("grad", [False, True], ids=["inference", "training"])
def test_inputs_are_left_alone(keys, grad):
    parts = inputs(keys, keys, grad=grad)
    before = [part.detach().clone() for part in parts]
    attend(*parts, padding(keys), 0.1)
    for part, old in zip(parts, before):
        assert torch.equal(part, old)


@pytest.mark.parametrize("keys", [9, 70])
def test_attention_dropout_keeps_the_mean(keys):
    q, k, v = inputs(5, keys)
    keep = padding(keys)
    torch.manual_seed(0)
    draws = torch.stack([attend(q, k, v, keep, 0.25) for _ in range(2000)])
    expected = attend(q, k, v, keep)
    assert draws.std(0).max() > 0.05
    error = (draws.mean(0) - expected).abs() / (draws.std(0) / 2000**0.5 + 1e-6)
    assert error.max() < 5  # standard errors


@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5, 11), (64, 64)])
def test_drop_zeroes_or_scales(shape):
    torch.manual_seed(0)
    out = drop(torch.ones(shape), 0.5)
    assert out.shape == shape
    assert set(out.unique().tolist()) <= {0.0, 2.0}


@pytest.mark.parametrize(
    ("probability", "rounded"),
    [(0.1, 26 / 256), (0.25, 0.25), (0.5, 0.5), (0.001, 1 / 256), (0.3, 77 / 256), (0.9, 230 / 256)],
)
def test_drop_rounds_its_probability_and_keeps_the_mean(probability, rounded):
    torch.manual_seed(0)
    out = drop(torch.ones(1000, 1000), probability)
    error = (rounded * (1 - rounded) / 1e6) ** 0.5
    assert float((out == 0).float().mean()) == pytest.approx(rounded, abs=5 * error)
    assert out.max().item() == pytest.approx(1 / (1 - rounded))
    assert float(out.mean()) == pytest.approx(1.0, abs=5 * error / (1 - rounded))


def test_drop_follows_the_seed():
    x = torch.randn(40, 9)
    torch.manual_seed(3)
    first, second = drop(x, 0.2), drop(x, 0.2)
    torch.manual_seed(3)
    assert torch.equal(drop(x, 0.2), first)
    assert not torch.equal(first, second)


def test_drop_passes_the_gradient_of_what_it_keeps():
    x = torch.randn(50, 7, requires_grad=True)
    out = drop(x, 0.5)
    out.sum().backward()
    assert torch.equal(x.grad, torch.where(out == 0, 0.0, 2.0))


def test_no_drop_is_the_same_tensor():
    x = torch.randn(3)
    assert drop(x, 0.0) is x


def test_drop_keeps_the_precision():
    assert drop(torch.ones(9, dtype=torch.bfloat16), 0.1).dtype == torch.bfloat16
