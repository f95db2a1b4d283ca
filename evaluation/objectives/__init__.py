"""Numbers of a subnetwork, all minimised.

`error` needs a pass over a split and lives in `evaluation.error`; the others are functions of the mask, built here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import unknown_name
from ..latency.table import LatencyTable
from .disk import disk
from .latency import latency
from .macs import macs
from .memory import memory
from .objective import Objective
from .parameters import encoder_parameters, parameters

if TYPE_CHECKING:
    from ...supernet import Supernet

ERROR = "error"

# From a supernet and its latency table (whose target says how the model is used) to the objective.
OBJECTIVES: dict[str, Callable[[Supernet, LatencyTable], Objective]] = {
    "parameters": lambda supernet, table: parameters(supernet),
    "encoder_parameters": lambda supernet, table: encoder_parameters(supernet),
    "macs": lambda supernet, table: macs(supernet, table.target.request_lengths),
    "latency_ms": lambda supernet, table: latency(table),
    "memory_mb": lambda supernet, table: memory(supernet, table.target),
    "disk_mb": lambda supernet, table: disk(supernet),
}
ALIASES = {"latency": "latency_ms", "memory": "memory_mb", "disk": "disk_mb"}


def resolve_objective(name: str) -> str:
    """Return the objective that a name or its short form stands for.

    Raises:
        InputError: there is none of that name.
    """
    name = ALIASES.get(name.strip(), name.strip())
    if name not in (ERROR, *OBJECTIVES):
        raise unknown_name("objective", name, (ERROR, *OBJECTIVES))
    return name


__all__ = [
    "ERROR",
    "OBJECTIVES",
    "Objective",
    "disk",
    "encoder_parameters",
    "latency",
    "macs",
    "memory",
    "parameters",
    "resolve_objective",
]
