"""What an importance is, and what those have in common that are sums over batches of gradients."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...search_space import UnitScores
from ...supernet import Supernet
from ...tasks import Task
from .backward import BackwardPass, Recipe, backward_passes

Importance = Callable[[Supernet, Task, np.random.Generator], UnitScores]


@dataclass(frozen=True)
class GradientImportance(ABC):
    """An importance that adds up what each batch's backward pass says.

    Attributes:
        recipe: what is passed backward.
        comparable: whether the scores of all units are in one unit, and those of units that go together add up.
    """

    recipe: Recipe
    comparable: bool = False

    @abstractmethod
    def of_batch(self, supernet: Supernet, seen: BackwardPass) -> tuple[Tensor, Tensor]:
        """Return a batch's part of the scores: heads `(L, H)` and neurons `(L, F)`."""

    def of_sums(self, sums: Tensor) -> Tensor:
        """Return the scores of heads, or of neurons, from the sum over batches, in its shape: the sum itself."""
        return sums

    def __call__(self, supernet: Supernet, task: Task, rng: np.random.Generator) -> UnitScores:
        """Score the units; deterministic but for `rng`."""
        return score_together(supernet, task, rng, {"": self})[""]


def score_together(
    supernet: Supernet, task: Task, rng: np.random.Generator, importances: Mapping[str, Importance]
) -> dict[str, UnitScores]:
    """Score by several methods; those that differ only in what they read from a backward pass share it.

    Args:
        supernet: the model, left as it is.
        task: whose training split is looked at.
        rng: of texts and noise; each group of methods that share passes, and each other method, continues with it.
        importances: by name.
    """
    groups: dict[Recipe, dict[str, GradientImportance]] = {}
    scores: dict[str, UnitScores] = {}
    for name, importance in importances.items():
        if isinstance(importance, GradientImportance):
            groups.setdefault(replace(importance.recipe, weights=False), {})[name] = importance
        else:
            scores[name] = importance(supernet, task, rng)
    for recipe, members in groups.items():
        with_weights = any(member.recipe.weights for member in members.values())
        sums: dict[str, tuple[Tensor, Tensor]] = {}
        for seen in backward_passes(supernet, task, rng, replace(recipe, weights=with_weights)):
            with torch.no_grad():
                for name, member in members.items():
                    heads, neurons = member.of_batch(supernet, seen)
                    before = sums.get(name, (0.0, 0.0))
                    sums[name] = before[0] + heads.double(), before[1] + neurons.double()
        for name, parts in sums.items():
            heads, neurons = (members[name].of_sums(part).cpu().numpy() for part in parts)
            scores[name] = UnitScores(heads, neurons, members[name].comparable)
    return {name: scores[name] for name in importances}
