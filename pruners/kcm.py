"""KCM: neurons only, from unlabeled texts, without gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..tasks import Task
from .base import Cost, Outcome, Pruner
from .budget import best_mask
from .calibration import calibration_batches
from .importance import R2D2
from .scales import SCALE_TEXTS, extract_scaled, fit_scales

BATCH = 32


class KCM(Pruner):
    """Keeps all heads and the neurons that rank highest over all layers, then scales these by least squares.

    The scales' teacher is the network that the same scores choose at the square root of the density, as in mask tuning,
    which the paper takes its last step from.

    Args:
        texts: unlabeled texts of the training split.
        scale_texts: about so many of them for the scales, whole batches at random; the paper takes all. 0: no scales.
        cost: what a density is a share of; the encoder's parameters if None.

    Source: Nova et al., "Gradient-free structured pruning with unlabeled data", ICML 2023.
    """

    name = "kcm"

    def __init__(self, *, texts: int = 2000, scale_texts: int = SCALE_TEXTS, cost: Cost | None = None) -> None:
        super().__init__(cost=cost)
        self._texts = texts
        self._scale_texts = scale_texts

    def _make(self, supernet: Supernet, task: Task, density: float, rng: np.random.Generator) -> Outcome:
        """Score, choose, scale, extract."""
        seed = int(rng.integers(2**62))  # the same texts for scores and for scales
        ranking = R2D2(texts=self._texts)
        scores = self._once(supernet, task, seed, lambda: ranking(supernet, task, np.random.default_rng(seed)))
        # The paper compares neurons of all layers by their products as they are.
        scores = replace(scores, comparable=True)
        share, all_heads = self.share(supernet.shape), np.ones(scores.heads.shape, bool)
        mask = best_mask(supernet.shape, scores, share, density, heads=all_heads)
        teacher = best_mask(supernet.shape, scores, share, density**0.5, heads=all_heads)
        draw = np.random.default_rng(seed)
        batches = list(calibration_batches(supernet, task, self._texts, draw, batch_size=BATCH))
        some = batches[: math.ceil(self._scale_texts / BATCH)]
        model = extract_scaled(supernet, mask, fit_scales(supernet, some, mask, teacher))
        options = {"texts": self._texts, "scale_texts": self._scale_texts}
        return Outcome(mask, model, options, sum(len(batch) for batch in batches))

    def floor(self, supernet: Supernet) -> float:
        """Return the density of all heads and one neuron in each block."""
        shape = supernet.shape
        heads, ones = [shape.num_heads] * shape.num_layers, [1] * shape.num_layers
        return self.density_of(supernet, SubnetMask.from_counts(shape, heads, ones))
