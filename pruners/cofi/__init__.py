"""CoFi: masks at five granularities, learnt together with the weights under distillation."""

from .pruner import CoFi
from .settings import CoFiSettings

__all__ = ["CoFi", "CoFiSettings"]
