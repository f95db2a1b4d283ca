"""Bayesian search with Optuna's Gaussian process."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from .box import Box, Points, Values
from .model_based import ModelBasedSearcher

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

# Optuna tries all values of an integer with up to 16, but searches a wider one by a line search for every start and
# round: 24 took over a minute for one point. As a real number, rounded at the end, it moves along the gradient with the
# others. And since Optuna takes turns between real and whole coordinates until neither improves, ten times slower than
# either, all are of one kind.
_WIDE = 16


class GaussianProcess(ModelBasedSearcher):
    """Expected hypervolume improvement (one objective: expected improvement) on Gaussian processes by Optuna.

    Points under way count: the acquisition integrates over their results. About a second per point with 24 coordinates
    and 60 results; not for the large space.

    Source: Optuna's `GPSampler`; Daulton et al., NeurIPS 2020; Ament et al., NeurIPS 2023 (logarithmic acquisition).
    """

    name = "gp"
    startup = 10

    def _propose(self, xs: Points, values: Values, pending: Points, seed: int) -> Points:
        return most_promising(self.box, xs, values, pending, seed)


def most_promising(box: Box, xs: Points, values: Values, pending: Points, seed: int) -> Points:
    """Return the point `(k,)` that Optuna's Gaussian process expects most of.

    Args:
        box: of which the k free coordinates count.
        xs: `(n, k)`, the points with results.
        values: `(n, m)`, finite; one objective or several.
        pending: `(p, k)`, points whose results are not there yet.
        seed: for all randomness.
    """
    import optuna

    distributions = _distributions(box.lower[box.free], box.upper[box.free])

    def trial(x: Points, row: Values | None = None) -> optuna.trial.FrozenTrial:
        return optuna.trial.create_trial(
            params=dict(zip(distributions, x.tolist(), strict=True)),
            distributions=dict(distributions),
            values=None if row is None else row.tolist(),
            state=optuna.trial.TrialState.RUNNING if row is None else optuna.trial.TrialState.COMPLETE,
        )

    with _quiet():
        study = optuna.create_study(
            directions=["minimize"] * values.shape[1],
            sampler=optuna.samplers.GPSampler(seed=seed, n_startup_trials=1),
        )
        study.add_trials([trial(x, row) for x, row in zip(xs, values, strict=True)])
        study.add_trials([trial(x) for x in pending])
        params = study.ask(distributions).params
    return np.rint([params[name] for name in distributions]).astype(np.int64)


def _distributions(lower: Points, upper: Points) -> dict[str, BaseDistribution]:
    from optuna.distributions import FloatDistribution, IntDistribution

    real = bool((upper - lower).max() >= _WIDE)
    return {
        str(i): FloatDistribution(low - 0.499, high + 0.499) if real else IntDistribution(low, high)
        for i, (low, high) in enumerate(zip(lower.tolist(), upper.tolist()))
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from announcing a new study and warning of experiments for each point, and nobody else."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="optuna")
            yield
    finally:
        logger.setLevel(level)
