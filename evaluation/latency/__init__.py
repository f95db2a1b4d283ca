"""How long a subnetwork takes on a given target: measured end to end, or predicted from a table of measured parts."""

from typing import TYPE_CHECKING

from ...registry import importer

if TYPE_CHECKING:
    from .calibration import calibrate
    from .measure import Bench, Latency
    from .runtimes import RUNTIMES, check_runs
    from .table import LatencyTable
    from .target import INT8, LatencyTarget, busy, machine_name, padded_lengths

__getattr__ = importer(
    __name__,
    {
        "calibrate": "calibration",
        **dict.fromkeys(("Bench", "Latency"), "measure"),
        **dict.fromkeys(("RUNTIMES", "check_runs"), "runtimes"),
        "LatencyTable": "table",
        **dict.fromkeys(("INT8", "LatencyTarget", "busy", "machine_name", "padded_lengths"), "target"),
    },
)

__all__ = [
    "INT8",
    "RUNTIMES",
    "Bench",
    "Latency",
    "LatencyTable",
    "LatencyTarget",
    "busy",
    "calibrate",
    "check_runs",
    "machine_name",
    "padded_lengths",
]
