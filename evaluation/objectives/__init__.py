"""Numbers of a subnetwork, all minimised.

`error` needs a pass over a split and lives in `evaluation.error`; the others are functions of the mask, built here.
"""

from __future__ import annotations

from collections.abc import Callable

from ...supernet import Supernet
from ..latency import LatencyTable
from .latency import latency
from .macs import macs
from .objective import Objective
from .parameters import encoder_parameters, parameters

ERROR = "error"

# From a supernet and its latency table (whose target has the sequence length) to the objective.
OBJECTIVES: dict[str, Callable[[Supernet, LatencyTable], Objective]] = {
    "parameters": lambda supernet, table: parameters(supernet),
    "encoder_parameters": lambda supernet, table: encoder_parameters(supernet),
    "macs": lambda supernet, table: macs(supernet, table.target.sequence_length),
    "latency_ms": lambda supernet, table: latency(table),
}

__all__ = ["ERROR", "OBJECTIVES", "Objective", "encoder_parameters", "latency", "macs", "parameters"]
