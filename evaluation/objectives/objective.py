"""What an objective is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...search_space import SubnetMask


@dataclass(frozen=True)
class Objective:
    """A number of a subnetwork that is known without running it; lower is better.

    Attributes:
        name: the key in the archive, the front and the command line.
        unit: for people.
        of: from a mask to the number.
    """

    name: str
    unit: str
    of: Callable[[SubnetMask], float]
