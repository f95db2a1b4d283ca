"""Agreement with a model's answers: what is judged where nobody has labels."""

from __future__ import annotations

from functools import partial

import numpy as np

from .kinds import Kind
from .metrics import Metric

AGREEMENT = "agreement"  # the metric's name
FLIP_RATE = "flip rate"  # what its error is called


def agreement(kind: Kind) -> Metric:
    """Return the metric whose error is the flip rate: the share of texts, words or questions answered otherwise.

    It is held against splits that a model has answered (:meth:`~.kinds.Kind.answered`). Of numbers the flip rate is the
    mean absolute difference over that of the best constant answer, the median: 0 for the same numbers, 1 for a model
    that says nothing.
    """
    return Metric(AGREEMENT, kind, partial(_agreement, kind), is_mean=kind.flips_whole)


def _agreement(kind: Kind, given: np.ndarray, right: np.ndarray) -> float:
    otherwise, all_of_it = (float(part.sum()) for part in kind.flips(given, right))
    return 1.0 - otherwise / all_of_it if all_of_it else float(not otherwise)
