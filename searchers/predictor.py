"""Search on a cheap predictor of the objectives, in turns with real evaluations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, unknown_name
from ..evaluation.pareto import is_front
from .base import Searcher
from .box import Box, Points, Values
from .nsga2 import NSGA2
from .results import latest, pooled

Model = Literal["ridge", "forest"]

# NSGA-II on the predictor: its population, and its evaluations per point of the batch that is asked of them.
_POPULATION = 20
_EVALUATIONS = 1200
# A box of no more points than this is predicted whole.
_SMALL_BOX = 5000
# Squares and products of more coordinates than these would be thousands of features: then it is linear.
_MOST_SQUARED = 64


class Predictor(Searcher):
    """Fits a predictor of each objective to all results, searches it with NSGA-II, and asks points of its front.

    Until `startup` results are told, points are random. Then each round fits anew, evaluates 1,200 points on the
    predictor from the present front onwards (all points of a small box), and asks the `batch` of them, unknown so far,
    that are the best by predicted rank and crowding distance. Not for the large space, of which it would hold thousands
    of points at once.

    Args:
        model: `"ridge"`: linear in the coordinates, their squares and products (more than 64 coordinates: linear), its
            penalty chosen by cross-validation; `"forest"`: a random forest of 100 trees, for objectives with steps.
        batch: points asked per fit. LINAS evaluates 50 at a time, in searches of hundreds.
        startup: how many results the first predictor needs.

    Source: Cummings et al., "A hardware-aware framework for accelerating neural architecture search across modalities",
    2022 (LINAS); predictors from scikit-learn.
    """

    name = "predictor"
    remembers = ("xs", "values", "planned")

    def __init__(self, box: Box, *, model: Model = "ridge", batch: int = 10, startup: int = 20) -> None:
        super().__init__(box)
        if model not in get_args(Model):
            raise unknown_name("predictor model", model, get_args(Model))
        if batch < 1 or startup < 2:
            raise InputError(f"'predictor' needs a batch of at least 1 and 2 results, got {batch=}, {startup=}")
        self.model: Model = model
        self.batch = batch
        self.startup = startup
        self._xs, self._values = box.no_results()
        self._planned = self._xs

    def _next(self) -> Points:
        if len(self._xs) < self.startup:
            return self._random_point()
        for refill in (True, False):
            while len(self._planned):
                x, self._planned = self._planned[0], self._planned[1:]
                if self._claim(x):
                    return x
            if refill:
                self._planned = self._promising()
        return self._random_point()

    def _promising(self) -> Points:
        """Return up to `(batch, d)` points that are not known, the best first by prediction."""
        predict = _fitted(self.model, self.box.shares(self._xs), self._values, int(self._rng.integers(2**31)))
        if self.box.size <= _SMALL_BOX:
            xs = np.array([x for x in self.box.points() if not self._knows(x)])
            return xs[_best(predict(self.box.shares(xs)), self.batch, self._rng)]
        seed, front = int(self._rng.integers(2**31)), self._xs[is_front(self._values)]
        inner = NSGA2(replace(self.box, seed=seed, initial=front), population=_POPULATION)
        found: list[Points] = []
        for _ in range(rounds := _EVALUATIONS // _POPULATION):
            if inner.generations > 2 * rounds:  # nearly all that it breeds is known: an objective may be constant
                break
            xs = inner.ask(_POPULATION)
            inner.tell(xs, predict(self.box.shares(xs)))
            found += [x for x in xs if not self._knows(x)]
        if not found:
            return self._planned
        xs = np.array(found)
        xs = xs[latest(xs)]
        return xs[_best(predict(self.box.shares(xs)), self.batch, self._rng)]

    def _observe(self, xs: Points, values: Values) -> None:
        self._xs, self._values = pooled(self._xs, self._values, xs, values)


def _fitted(model: Model, shares: Values, values: Values, seed: int) -> Callable[[Values], Values]:
    """Return a function from `(k, d)` in 0..1 to predicted `(k, m)`, fitted to `(n, d)` and `(n, m)`.

    What it predicts is scaled: the results' least value is 0, their largest 1.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    def make() -> Any:
        if model == "forest":
            return RandomForestRegressor(n_estimators=100, random_state=seed)
        degree = 2 if shares.shape[1] <= _MOST_SQUARED else 1
        features = PolynomialFeatures(degree, include_bias=False)
        return make_pipeline(features, StandardScaler(), RidgeCV(alphas=np.logspace(-4, 3, 15)))

    least, extent = values.min(axis=0), np.ptp(values, axis=0)
    columns = ((values - least) / np.where(extent > 0, extent, 1.0)).T
    models = [make().fit(shares, column) for column in columns]
    # Rounded, or the last digits, which depend on the objectives' units, would order what a forest holds for equal.
    predict = _mean_of_trees if model == "forest" else lambda fitted, xs: fitted.predict(xs)
    return lambda xs: np.stack([predict(one, xs) for one in models], axis=1).round(9)


def _mean_of_trees(forest: Any, xs: Values) -> Values:
    """Return what a forest predicts, `(k,)`; its own method takes ten times as long for few points."""
    points = np.ascontiguousarray(xs, dtype=np.float32)
    return np.mean([one.tree_.predict(points)[:, 0] for one in forest.estimators_], axis=0)


def _best(values: Values, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the indices of the up to `n` best rows of `values` `(k, m)` by rank, then crowding distance."""
    from pymoo.core.population import Population
    from pymoo.core.problem import Problem
    from pymoo.operators.survival.rank_and_crowding import RankAndCrowding

    everyone = Population.new(F=values, index=np.arange(len(values)))
    problem: Any = Problem(n_var=1, n_obj=values.shape[1])
    best = RankAndCrowding().do(problem, everyone, n_survive=min(n, len(values)), random_state=rng)
    return np.asarray(best.get("index"), dtype=np.int64)
