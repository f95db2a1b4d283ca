"""Smooth-Cut for heads and neurons."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...supernet import Supernet
from .backward import BackwardPass, Recipe
from .importance import GradientImportance
from .units import sum_over_units
from .weights import weight_score

# The authors' ten passes per batch; a quarter of the texts that the other gradient scores see costs as much again.
_RECIPE = Recipe(texts=512, weights=True, noise=1e-3, repeats=10)


@dataclass(frozen=True)
class Smooth(GradientImportance):
    """The weight times its gradient, averaged over noisy passes; absolute per batch, summed over a unit's weights.

    The noise is Gaussian, absolute, and lies on the output of every linear map of the encoder. Without it this is
    `|W * grad W|` (SNIP). The authors remove single weights; heads and neurons are an extension.

    Source: Grover et al., "DeepCuts" (arXiv 2212.13392), Smooth-Cut.
    """

    recipe: Recipe = _RECIPE

    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Add up absolute products."""
        return sum_over_units(supernet, lambda path, kind: weight_score(supernet, seen, path, kind, shift=None))


smooth = Smooth()
