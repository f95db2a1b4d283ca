"""No importance at all."""

from __future__ import annotations

import numpy as np

from ...search_space import UnitScores
from ...supernet import Supernet
from ...tasks import Task


def random(supernet: Supernet, task: Task, rng: np.random.Generator) -> UnitScores:
    """Score units uniformly at random: what every other score must beat."""
    shape = supernet.shape
    return UnitScores(
        rng.random((shape.num_layers, shape.num_heads)), rng.random((shape.num_layers, shape.intermediate_size))
    )
