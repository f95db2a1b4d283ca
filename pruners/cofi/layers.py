"""Layer distillation: which of the student's layers learns from which of the teacher's, and what."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ...search_space import SubnetMask
from ...supernet.elastic import cut, hidden_index
from .settings import Matching

_TAUGHT = 4  # layers of a teacher, evenly spread, that are distilled


def taught_layers(num_layers: int) -> tuple[int, ...]:
    """Return the teacher's layers, counted from 0, that a student learns from: 3, 6, 9 and 12 of 12, counted from 1."""
    return tuple(sorted({math.ceil(num_layers * k / _TAUGHT) - 1 for k in range(1, _TAUGHT + 1)}))


def surviving_layers(mask: SubnetMask) -> list[int]:
    """Return the layers that keep a block: attention or feed-forward, for the state behind the layer is both's."""
    both = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
    return [layer for layer, (heads, neurons) in enumerate(both) if heads or neurons]


def match(distances: Tensor, matching: Matching) -> list[tuple[int, int]]:
    """Return pairs of a teacher's and a student's position.

    Args:
        distances: `(t, s)` between the teacher's and the student's states, both from the lowest layer to the highest.
        matching: `free`: each teacher's layer teaches the nearest of the student's. `ordered`: from the top down, the
            nearest below the one matched before; where none is left the lower teacher's layers teach nothing.

    Source: Xia et al., ACL 2022, section 3.2; versions 3 and 4 of their code.
    """
    pairs, candidates = [], distances.shape[1]
    for teacher in reversed(range(len(distances))):
        if not candidates:
            break
        student = int(distances[teacher, :candidates].argmin())
        pairs.append((teacher, student))
        if matching == "ordered":
            candidates = student
    return pairs


def layer_loss(
    student: Sequence[Tensor], teacher: Sequence[Tensor], layer_map: Tensor, mask: SubnetMask, matching: Matching
) -> Tensor:
    """Return the summed mean squared errors between matched layers' states, a scalar in float32; 0 without layers.

    Args:
        student: states `(N, d)` of all real tokens behind each surviving layer, d being what the mask keeps of D.
        teacher: states `(N, D)` behind each layer that teaches.
        layer_map: `(D, D)`, what turns a student's state into a teacher's; only the columns kept are used.
        mask: the student's.
        matching: see :func:`match`.
    """
    if not student:
        return layer_map.new_zeros(())
    columns = cut(layer_map, None, hidden_index(mask, layer_map.device)).to(student[0].dtype)
    mapped = [functional.linear(state, columns) for state in student]
    with torch.no_grad():
        theirs, own = (torch.stack([state.flatten() for state in states]).float() for states in (teacher, mapped))
        pairs = match(torch.cdist(theirs, own, compute_mode="use_mm_for_euclid_dist"), matching)
    losses = [functional.mse_loss(mapped[s].float(), teacher[t].float()) for t, s in pairs]
    return torch.stack(losses).sum()
