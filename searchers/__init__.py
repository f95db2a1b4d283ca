"""Searchers: which point to try next. They see integers and numbers, never a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import unknown_name
from ..registry import Place, Registry, importer

if TYPE_CHECKING:
    from .agemoea2 import AGEMOEA2
    from .base import Searcher
    from .box import Box, Sampler
    from .ehvi import EHVI
    from .gp import GaussianProcess
    from .local_search import LocalSearch
    from .moasha import MOASHA
    from .moead import MOEAD
    from .morea import MOREA
    from .nsga2 import NSGA2
    from .nsga3 import NSGA3
    from .predictor import Predictor
    from .random_scalarization import RandomScalarization
    from .random_search import RandomSearch
    from .smsemoa import SMSEMOA
    from .stratified import Stratified

# What makes each: a class, or one with another of its options.
SEARCHERS: Registry[Callable[[Box], Searcher]] = Registry(
    {
        "random": Place("searchers.random_search:RandomSearch"),
        "stratified": Place("searchers.stratified:Stratified"),
        "stratified_cost": Place("searchers.stratified:Stratified", options={"by_cost": True}),
        "local": Place("searchers.local_search:LocalSearch"),
        "local_step": Place("searchers.local_search:LocalSearch", options={"neighbourhood": "step"}),
        "morea": Place("searchers.morea:MOREA"),
        "nsga2": Place("searchers.nsga2:NSGA2"),
        "nsga3": Place("searchers.nsga3:NSGA3"),
        "agemoea2": Place("searchers.agemoea2:AGEMOEA2"),
        "smsemoa": Place("searchers.smsemoa:SMSEMOA"),
        "moead": Place("searchers.moead:MOEAD"),
        "predictor": Place("searchers.predictor:Predictor"),
        "predictor_forest": Place("searchers.predictor:Predictor", options={"model": "forest"}),
        "gp": Place("searchers.gp:GaussianProcess"),
        "random_scalarization": Place("searchers.random_scalarization:RandomScalarization"),
        "ehvi": Place("searchers.ehvi:EHVI"),
        "moasha": Place("searchers.moasha:MOASHA"),
    }
)


# What `auto` means: of the evolutionary searchers, whose suggestions take a millisecond, the one that
# `benchmarks/searchers.py` shows to be best at 50 to 200 evaluations of both its tasks.
AUTO = "moead"


def make_searcher(name: str, box: Box) -> Searcher:
    """Return the searcher of that name, or of `auto`, for a box.

    Raises:
        InputError: an unknown name, or a library that is not installed.

    Example:
        >>> make_searcher("gp", Box(space.lower, space.upper, num_objectives=2, seed=0, sampler=space.sample))
    """
    name = AUTO if name == "auto" else name
    if name not in SEARCHERS:
        raise unknown_name("searcher", name, SEARCHERS)
    searcher = SEARCHERS[name](box)
    searcher.name = name  # a saved state belongs to the method with its options
    return searcher


__getattr__ = importer(
    __name__,
    {
        "AGEMOEA2": "agemoea2",
        "Box": "box",
        "EHVI": "ehvi",
        "GaussianProcess": "gp",
        "LocalSearch": "local_search",
        "MOASHA": "moasha",
        "MOEAD": "moead",
        "MOREA": "morea",
        "NSGA2": "nsga2",
        "NSGA3": "nsga3",
        "Predictor": "predictor",
        "RandomScalarization": "random_scalarization",
        "RandomSearch": "random_search",
        "SMSEMOA": "smsemoa",
        "Sampler": "box",
        "Searcher": "base",
        "Stratified": "stratified",
    },
)

__all__ = [
    "AGEMOEA2",
    "AUTO",
    "EHVI",
    "MOASHA",
    "MOEAD",
    "MOREA",
    "NSGA2",
    "NSGA3",
    "SEARCHERS",
    "SMSEMOA",
    "Box",
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
