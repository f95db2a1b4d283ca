"""The absolute gradient of a unit's factor."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...supernet import Supernet
from .backward import SHARED, BackwardPass, Recipe
from .importance import GradientImportance


@dataclass(frozen=True)
class Gradient(GradientImportance):
    """The mean over texts of the absolute derivative of the loss by the factor on a unit, squared (up to a constant).

    Within a kind of units the order is that of Michel et al., who take the mean itself, normalise it in each layer, and
    compare heads with heads only; nobody weighs a head against neurons by it. Sums of absolute values do not: the
    derivatives of k neurons have signs, so that removing all of them changes the loss by about the square root of k
    times one's, where their absolute values add up to k times it, and the sum over thousands of neurons outweighs every
    head. Squares add up, as the Fisher information of Kwon et al. does, so that heads and neurons are on one scale.

    Source: Michel, Levy and Neubig, "Are sixteen heads really better than one?", NeurIPS 2019, section 4.1.
    """

    recipe: Recipe = SHARED
    comparable: bool = True

    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Add up absolute values, text by text."""
        return seen.heads.abs().sum(0), seen.neurons.abs().sum(0)

    def of_sums(self, sums: Tensor) -> Tensor:
        """Square the sums."""
        return sums.square()


gradient = Gradient()
