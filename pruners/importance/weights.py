"""Scores of single weights from one backward pass: what Cam-Cut, Smooth-Cut and SNIP have in common."""

from __future__ import annotations

from torch import Tensor

from ...supernet import Supernet
from .backward import BackwardPass


def weight_score(supernet: Supernet, seen: BackwardPass, path: str, kind: str, *, shift: float | None) -> Tensor:
    """Return `|W * grad W|`, times `|shift + a|` where a shift is given, in the parameter's shape.

    Args:
        supernet: whose weights.
        seen: a pass with the gradients of the weights.
        path: of a linear map.
        kind: `weight` or `bias`.
        shift: added to a, the signed mean of the row's output before the activation; None leaves the factor out.

    Source: Grover et al., "DeepCuts" (arXiv 2212.13392); without the factor: Lee et al., SNIP, ICLR 2019.
    """
    name = f"{path}.{kind}"
    product = supernet.parameters[name].detach() * seen.weights[name]
    if shift is not None:
        factor = seen.outputs[path] + shift
        product = product * (factor[:, None] if kind == "weight" else factor)
    return product.abs()
