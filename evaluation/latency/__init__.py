"""How long a subnetwork takes on a given target: measured end to end, or predicted from a table of measured parts."""

from typing import TYPE_CHECKING

from ...registry import importer

if TYPE_CHECKING:
    from .calibration import calibrate
    from .measure import Bench, Latency
    from .runtime import INT8, RUNTIMES, Runtime
    from .runtimes import check_runs
    from .table import LatencyTable
    from .target import LatencyTarget, busy, machine_name, padded_lengths

__getattr__ = importer(
    __name__,
    {
        "calibrate": "calibration",
        **dict.fromkeys(("Bench", "Latency"), "measure"),
        **dict.fromkeys(("INT8", "RUNTIMES", "Runtime"), "runtime"),
        "check_runs": "runtimes",
        "LatencyTable": "table",
        **dict.fromkeys(("LatencyTarget", "busy", "machine_name", "padded_lengths"), "target"),
    },
)

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
    "padded_lengths",
]
