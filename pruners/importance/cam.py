"""Cam-Cut for heads and neurons."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...supernet import Supernet
from .backward import BackwardPass, Recipe
from .importance import GradientImportance
from .units import sum_over_units
from .weights import weight_score

_RECIPE = Recipe(weights=True)


@dataclass(frozen=True)
class Cam(GradientImportance):
    """The weight, its gradient and the mean output of its row, multiplied; summed over a unit's weights.

    The absolute value is taken per batch, of `W * grad W * (shift + a)` with a the signed mean of the row's output
    before the activation. The authors remove single weights; heads and neurons are an extension. Their sums run over
    more weights for a head than for a neuron, so the scores are not comparable between kinds.

    Attributes:
        shift: added to the mean outputs. Where one is close to zero, its row would look worthless; a large shift
            makes the order that of `W * grad W`.

    Source: Grover et al., "DeepCuts" (arXiv 2212.13392), Cam-Cut.
    """

    recipe: Recipe = _RECIPE
    shift: float = 0.0

    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Add up absolute products."""
        return sum_over_units(supernet, lambda path, kind: weight_score(supernet, seen, path, kind, shift=self.shift))


cam = Cam()
