"""Importance: how much each head and each neuron of a fine-tuned model matters, from data or without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...registry import Place, Registry, importer

if TYPE_CHECKING:
    from .cam import Cam
    from .fisher import Fisher
    from .gradient import Gradient
    from .importance import Importance, score_together
    from .r2d2 import R2D2
    from .smooth import Smooth

IMPORTANCES: Registry[Importance] = Registry(
    {
        name: Place(f"pruners.importance.{name}:{name}")
        for name in ("magnitude", "gradient", "fisher", "cam", "smooth", "r2d2", "random")
    }
)

__getattr__ = importer(
    __name__,
    {
        "Cam": "cam",
        "Fisher": "fisher",
        "Gradient": "gradient",
        "Importance": "importance",
        "R2D2": "r2d2",
        "Smooth": "smooth",
        "score_together": "importance",
    },
)

__all__ = ["IMPORTANCES", "R2D2", "Cam", "Fisher", "Gradient", "Importance", "Smooth", "score_together"]
