"""The squared gradient of a unit's factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ...supernet import Supernet
from .backward import SHARED, BackwardPass, Recipe
from .importance import GradientImportance


@dataclass(frozen=True)
class Fisher(GradientImportance):
    """The diagonal of the empirical Fisher information of the factors: the loss's second-order rise, twice over.

    Attributes:
        per: `text` squares each text's gradient, so that the order of the texts does not matter; `batch` squares the
            sum over a batch, as the authors' code does, and depends on which texts meet in one.

    Source: Kwon et al., "A fast post-training pruning framework for transformers", NeurIPS 2022, section 3.
    """

    recipe: Recipe = SHARED
    comparable: bool = True
    per: Literal["text", "batch"] = "text"

    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Add up squares."""
        if self.per == "batch":
            return seen.heads.mean(0).square(), seen.neurons.mean(0).square()
        return seen.heads.square().sum(0), seen.neurons.square().sum(0)


fisher = Fisher()
