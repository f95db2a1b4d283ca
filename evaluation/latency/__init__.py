"""How long a subnetwork takes on a given target: measured end to end, or predicted from a table of measured parts."""

from .calibration import calibrate
from .measure import Bench, Latency, measure
from .runtime import INT8, RUNTIMES, Runtime
from .runtimes import check_runs
from .table import LatencyTable
from .target import LatencyTarget, busy, machine_name, padded_lengths

__all__ = [
    "INT8",
    "RUNTIMES",
    "Bench",
    "Latency",
    "LatencyTable",
    "LatencyTarget",
    "Runtime",
    "busy",
    "calibrate",
    "check_runs",
    "machine_name",
    "measure",
    "padded_lengths",
]
