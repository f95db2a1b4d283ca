"""The size of a unit's weights."""

from __future__ import annotations

import numpy as np
import torch

from ...search_space import UnitScores
from ...supernet import Supernet
from ...tasks import Task
from .units import sum_over_units


@torch.no_grad()
def magnitude(supernet: Supernet, task: Task, rng: np.random.Generator) -> UnitScores:
    """Score a unit by the Euclidean norm of all its weights; looks at no data.

    Source: the classic baseline; Han et al., NeurIPS 2015, for single weights.
    """
    heads, neurons = sum_over_units(supernet, lambda path, kind: supernet.parameters[f"{path}.{kind}"].square())
    return UnitScores(heads.sqrt().cpu().numpy(), neurons.sqrt().cpu().numpy())
