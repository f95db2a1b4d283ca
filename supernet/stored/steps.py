"""A tensor as its few steps from another one: how many numbers of its precision lie between, bit for bit.

What a training leaves all but as it was takes a byte for each number then instead of four: the embeddings of tokens
that its texts do not have, for example, which nothing but weight decay moves. Nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_INTEGERS = {4: torch.int32, 2: torch.int16}  # by the bytes of a number
_WORTH = 0.75  # of the tensor's bytes: more are not worth a second tensor to be read
_SUFFIXES = ("steps", "rows", "values")


def steps_between(reference: Tensor, tensor: Tensor) -> dict[str, Tensor] | None:
    """Return what makes a tensor of another one, by `steps`, `rows` and `values`; None if that is hardly smaller.

    Two numbers of one sign are as many steps apart as their bits, read as integers, differ by.

    Args:
        reference: `(R, C)`.
        tensor: `(R, C)`, of the same precision; any other two are too far apart.
    """
    if tensor.shape != reference.shape or tensor.dtype != reference.dtype or tensor.dim() != 2:
        return None
    size = tensor.element_size()
    if size not in _INTEGERS or not tensor.is_floating_point() or not tensor.numel():
        return None
    apart = _bits(tensor).long() - _bits(reference).long()
    best, least = None, _WORTH * tensor.nbytes
    for kind in (torch.int8, torch.int16)[: 2 if size == 4 else 1]:
        far = (apart.abs() > torch.iinfo(kind).max).any(1)
        taken = apart.numel() * kind.itemsize + int(far.sum()) * (tensor.shape[1] * size + 4)
        if taken < least:
            rows = far.nonzero()[:, 0]
            steps = apart.masked_fill(far[:, None], 0).to(kind)
            best = {"steps": steps, "rows": rows.int(), "values": tensor[rows].clone()}
            least = taken
    return best


def add_steps(tensor: Tensor, stored: Mapping[str, Tensor]) -> None:
    """Make another tensor of a reference in place, which :func:`steps_between` has compared it with."""
    _bits(tensor).add_(stored["steps"])
    tensor[stored["rows"].long()] = stored["values"]


def named(name: str) -> dict[str, str]:
    """Return the names in a file of what :func:`steps_between` returns for the tensor of a name."""
    return {suffix: f"{name}.{suffix}" for suffix in _SUFFIXES}


def _bits(tensor: Tensor) -> Tensor:
    return tensor.view(_INTEGERS[tensor.element_size()])
