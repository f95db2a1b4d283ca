"""Searchers: which point to try next. They see integers and numbers, never a model."""

from __future__ import annotations

from numpy.typing import ArrayLike

from ..errors import unknown_name
from .agemoea2 import AGEMOEA2
from .base import Sampler, Searcher
from .ehvi import EHVI
from .gp import GaussianProcess
from .local_search import LocalSearch
from .moead import MOEAD
from .morea import MOREA
from .nsga2 import NSGA2
from .nsga3 import NSGA3
from .predictor import Predictor
from .random_scalarization import RandomScalarization
from .random_search import RandomSearch
from .smsemoa import SMSEMOA
from .stratified import Stratified

SEARCHERS: dict[str, type[Searcher]] = {
    "random": RandomSearch,
    "stratified": Stratified,
    "local": LocalSearch,
    "morea": MOREA,
    "nsga2": NSGA2,
    "nsga3": NSGA3,
    "agemoea2": AGEMOEA2,
    "smsemoa": SMSEMOA,
    "moead": MOEAD,
    "predictor": Predictor,
    "gp": GaussianProcess,
    "random_scalarization": RandomScalarization,
    "ehvi": EHVI,
}


def make_searcher(
    name: str,
    lower: ArrayLike,
    upper: ArrayLike,
    *,
    num_objectives: int,
    seed: int,
    initial: ArrayLike | None = None,
    sampler: Sampler | None = None,
) -> Searcher:
    """Return the searcher of that name with its default settings; see :class:`Searcher` for the arguments.

    Raises:
        InputError: an unknown name, an impossible box, or a library that is not installed.

    Example:
        >>> make_searcher("gp", space.lower, space.upper, num_objectives=2, seed=0, sampler=space.sample)
    """
    if name not in SEARCHERS:
        raise unknown_name("searcher", name, SEARCHERS)
    return SEARCHERS[name](lower, upper, num_objectives=num_objectives, seed=seed, initial=initial, sampler=sampler)


__all__ = [
    "AGEMOEA2",
    "EHVI",
    "MOEAD",
    "MOREA",
    "NSGA2",
    "NSGA3",
    "SEARCHERS",
    "SMSEMOA",
    "GaussianProcess",
    "LocalSearch",
    "Predictor",
    "RandomScalarization",
    "RandomSearch",
    "Sampler",
    "Searcher",
    "Stratified",
    "make_searcher",
]
