"""How long a subnetwork takes on a given target: measured end to end, or predicted from a table of measured parts."""

from .measure import Latency, measure, measure_pair
from .table import LatencyTable, calibrate
from .target import LatencyTarget, machine_name

__all__ = ["Latency", "LatencyTable", "LatencyTarget", "calibrate", "machine_name", "measure", "measure_pair"]
