"""Latency as a search sees it: predicted from a table of measured parts."""

from __future__ import annotations

from ..latency.table import LatencyTable
from .objective import Objective


def latency(table: LatencyTable) -> Objective:
    """Predict milliseconds on the table's target; what a user is told is measured (`latency.measure`)."""
    return Objective("latency_ms", "ms", table.predict)
