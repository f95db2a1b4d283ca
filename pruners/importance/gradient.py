"""The absolute gradient of a unit's factor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...supernet import Supernet
from .backward import SHARED, BackwardPass, Recipe
from .importance import GradientImportance


@dataclass(frozen=True)
class Gradient(GradientImportance):
    """Sum over texts of the absolute derivative of the loss by the factor on a unit: its first-order Taylor effect.

    Source: Michel, Levy and Neubig, "Are sixteen heads really better than one?", NeurIPS 2019.
    """

    recipe: Recipe = SHARED
    comparable: bool = True

    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Add up absolute values, text by text."""
        return seen.heads.abs().sum(0), seen.neurons.abs().sum(0)


gradient = Gradient()
