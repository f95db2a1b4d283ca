"""Pruning by an importance alone."""

from __future__ import annotations

import numpy as np

from ..errors import unknown_name
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..tasks import Task
from .base import Cost, Outcome, Pruner
from .budget import best_mask
from .importance import IMPORTANCES, R2D2
from .importance.importance import GradientImportance


class Rank(Pruner):
    """Keeps the units that an importance ranks highest; the weights stay as they are.

    Args:
        importance: a name of IMPORTANCES.
        cost: what a density is a share of; the encoder's parameters if None.

    Raises:
        InputError: an unknown importance.
    """

    def __init__(self, importance: str, *, cost: Cost | None = None) -> None:
        super().__init__(cost=cost)
        if importance not in IMPORTANCES:
            raise unknown_name("importance", importance, IMPORTANCES)
        self.name = f"rank_{importance}"
        self._importance = importance
        self.needs_labels = self.needs_gradients = isinstance(IMPORTANCES[importance], GradientImportance)

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Score, choose within the budget, extract."""
        seed, importance = int(rng.integers(2**62)), IMPORTANCES[self._importance]
        scores = self._once(supernet, task, seed, lambda: importance(supernet, task, np.random.default_rng(seed)))
        mask = best_mask(supernet.shape, scores, self.share(supernet.shape), density)
        model = extract(supernet.model, mask)
        return Outcome(mask, model, {"importance": self._importance}, min(self._texts, len(task.train)))

    @property
    def _texts(self) -> int:
        importance = IMPORTANCES[self._importance]
        if isinstance(importance, GradientImportance):
            return importance.recipe.texts
        return importance.texts if isinstance(importance, R2D2) else 0
