"""Importance: how much each head and each neuron of a fine-tuned model matters, from data or without."""

from __future__ import annotations

from .cam import Cam
from .fisher import Fisher
from .gradient import Gradient
from .importance import Importance, score_together
from .magnitude import magnitude
from .r2d2 import R2D2
from .random import random
from .smooth import Smooth

IMPORTANCES: dict[str, Importance] = {
    "magnitude": magnitude,
    "gradient": Gradient(),
    "fisher": Fisher(),
    "cam": Cam(),
    "smooth": Smooth(),
    "r2d2": R2D2(),
    "random": random,
}

__all__ = [
    "IMPORTANCES",
    "R2D2",
    "Cam",
    "Fisher",
    "Gradient",
    "Importance",
    "Smooth",
    "magnitude",
    "random",
    "score_together",
]
