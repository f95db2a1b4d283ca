"""Bayesian search on random scalarisations, with Optuna's Gaussian process."""

from __future__ import annotations

import numpy as np

from .box import Points, Values
from .gp import most_promising
from .model_based import ModelBasedSearcher
from .results import scaled

_AUGMENTATION = 0.05  # rho of the paper: without it, weakly dominated points look as good


class RandomScalarization(ModelBasedSearcher):
    """Expected improvement of one number that random weights make of all objectives, with other weights each time.

    The number is the augmented Chebyshev distance from the best values, in objectives scaled to 0..1. One Gaussian
    process is fitted to it, by Optuna, so that the time of a point does not grow with the number of objectives.

    Syne Tune's `MORandomScalarizationBayesOpt`, which the paper's experiments ran, was removed after 0.13. It fitted a
    process to each objective and took the weighted sum of their lower confidence bounds.

    Source: Knowles, "ParEGO: a hybrid algorithm with on-line landscape approximation for expensive multiobjective
    optimization problems", IEEE TEC 2006; Paria et al., "A flexible framework for multi-objective Bayesian optimization
    using random scalarizations", UAI 2019. Weights are uniform on the simplex.
    """

    name = "random_scalarization"
    startup = 10

    def _propose(self, xs: Points, values: Values, pending: Points, seed: int) -> Points:
        weights = np.random.default_rng(seed).dirichlet(np.ones(values.shape[1]))
        weighted = scaled(values) * weights
        distance = weighted.max(axis=1) + _AUGMENTATION * weighted.sum(axis=1)
        return most_promising(self.box, xs, distance[:, None], pending, seed)
