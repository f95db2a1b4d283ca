"""Scaled dot-product attention and dropout in the form that is fastest for short texts on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# exp() of scores within these bounds neither overflows nor vanishes in float32 and bfloat16.
_SAFE_SCORE = 60.0
# Up to this length PyTorch's fused CPU kernel spends most of its time in the scalar tail of a short softmax.
_SHORT = 64


def attend(
    query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None, dropout: float = 0.0, bias: Tensor | None = None
) -> Tensor:
    """Return softmax(Q K^T / sqrt(d) + bias) V.

    On a CPU, short texts (and bfloat16 training at any length: the backward pass of PyTorch's fused kernel was measured
    4 times slower there) take a softmax without the row maximum, whose sum comes out of the product with V as one more
    column; scores beyond what exp() can hold are looked for first, and only then the maximum is subtracted.

    Args:
        query: `(B, H, S, d)`.
        key: `(B, H, T, d)`.
        value: `(B, H, T, d)`.
        keep: `(B, T)` bool, False for padding; None if there is none.
        dropout: probability of zeroing an attention weight.
        bias: of the scores, finite, to be broadcast to `(B, H, S, T)`; None for zeros.

    Returns:
        `(B, S, H * d)`; zeros for a text without a real token, as the fused attention of PyTorch gives.
    """
    batch, heads, length, size = query.shape
    slow_backward = query.requires_grad and query.dtype == torch.bfloat16
    if query.device.type == "cpu" and (key.shape[2] <= _SHORT or slow_backward):
        scores = torch.matmul(query * size**-0.5, key.transpose(2, 3))
        if bias is not None:
            scores = scores + bias
        low, high = torch.aminmax(scores.detach())
        if not (low > -_SAFE_SCORE and high < _SAFE_SCORE):
            scores = _bounded(scores, keep)
        out = _exponential(scores, value, keep, dropout)
        return out.transpose(1, 2).reshape(batch, length, heads * size)
    if keep is not None:
        padding = torch.zeros(keep.shape, dtype=query.dtype, device=query.device)
        padding = padding.masked_fill_(~keep, float("-inf"))[:, None, None, :]
        bias = padding.expand(-1, -1, length, -1) if bias is None else padding + bias
    out = functional.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout)
    return out.transpose(1, 2).reshape(batch, length, heads * size)


def _bounded(scores: Tensor, keep: Tensor | None) -> Tensor:
    if keep is not None:
        scores = scores.masked_fill(~keep[:, None, None, :], float("-inf"))
    # Where all is padding the maximum is -inf, and the difference would be no number.
    return scores - scores.detach().amax(dim=-1, keepdim=True).clamp(min=torch.finfo(scores.dtype).min)


def _exponential(scores: Tensor, value: Tensor, keep: Tensor | None, dropout: float) -> Tensor:
    weights = scores.exp() if scores.requires_grad else scores.exp_()
    # Padding is masked where it is cheap: in the values and in the column of ones that sums the weights.
    if dropout:
        real = value.new_ones(1, 1, value.shape[2], 1) if keep is None else keep[:, None, :, None].to(value.dtype)
        total = torch.matmul(weights, real.expand(value.shape[0], value.shape[1], -1, -1))
        masked = value if keep is None else value * real
        return torch.matmul(drop(weights, dropout), masked) / _some(total, keep)
    extended = functional.pad(value, (0, 1), value=1.0)
    if keep is not None:
        extended = extended * keep[:, None, :, None]
    out = torch.matmul(weights, extended)
    return out[..., :-1] / _some(out[..., -1:], keep)


def _some(total: Tensor, keep: Tensor | None) -> Tensor:
    """Return sums of weights `(B, H, S, 1)`, with 1 in place of the 0 of texts without a real token."""
    if keep is None or keep[:, 0].all():  # nearly always: texts are padded on the right
        return total
    return total + (~keep.any(dim=1))[:, None, None, None].to(total.dtype)


def drop(x: Tensor, probability: float) -> Tensor:
    """Zero each element with the given probability and scale the rest up, as `torch.nn.functional.dropout` does.

    On a CPU one random byte decides an element, which is 2.5 times faster; the probability is rounded to 1/256 and the
    scale follows the rounded value.
    """
    if not probability:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, probability)
    threshold = min(max(1, round(probability * 256)), 255)
    words = torch.empty((x.numel() + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: x.numel()].view(x.shape) >= threshold
    return x * kept.to(x.dtype).mul_(256 / (256 - threshold))
