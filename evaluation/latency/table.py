"""A table of measured parts that predicts any subnetwork's latency.

A subnetwork's time is the time of embeddings and head plus, per layer, the time of an attention block with its number
of heads and of a feed-forward block with its number of neurons.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from ...digests import read_json, write_json
from ...errors import InputError
from ...search_space import SubnetMask
from .target import LatencyTarget


class Part(BaseModel):
    """Milliseconds of one block by what it keeps; between the measured sizes it is interpolated."""

    model_config = ConfigDict(frozen=True)

    sizes: tuple[int, ...]
    milliseconds: tuple[float, ...]

    def at(self, size: int) -> float:
        """Return the time of a block that keeps `size`; 0 for a dropped one."""
        return float(np.interp(size, self.sizes, self.milliseconds)) if size else 0.0


class Accuracy(BaseModel):
    """How well a table predicted networks that it was not fitted on, and the whole network as it was measured.

    Attributes:
        networks: how many they were.
        worst: the largest relative error.
        tau: Kendall's rank correlation of predicted and measured times; NaN where all predictions are equal.
        whole_p50, whole_p95: milliseconds of the whole network's requests.
        spread: how much the reference's time varied, the distance of its quartiles over its median.
        seconds: what the calibration took.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    networks: int
    worst: float
    tau: float
    whole_p50: float
    whole_p95: float
    spread: float
    seconds: float


class LatencyParts(BaseModel):
    """Predicts latency on one target from the times of parts.

    Attributes:
        target: what the times belong to.
        hidden_sizes: residual widths measured, rising.
        base: milliseconds of embeddings and head at each width.
        attention, ffn: parts of a layer at each width.
        scale: correction of the sum of parts, fitted on whole networks.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    target: LatencyTarget
    hidden_sizes: tuple[int, ...]
    base: tuple[float, ...]
    attention: tuple[Part, ...]
    ffn: tuple[Part, ...]
    scale: float = 1.0

    def predict(self, mask: SubnetMask) -> float:
        """Return milliseconds."""
        sums = [self._sum(mask, i) for i in range(len(self.hidden_sizes))]
        return float(np.interp(mask.hidden_size, self.hidden_sizes, sums))

    def _sum(self, mask: SubnetMask, width: int) -> float:
        blocks = sum(self.attention[width].at(heads) for heads in mask.heads_per_layer)
        blocks += sum(self.ffn[width].at(neurons) for neurons in mask.neurons_per_layer)
        return self.base[width] + self.scale * blocks


class LatencyTable(LatencyParts):
    """Parts and how well they predict; made by :func:`calibrate`, kept as JSON.

    Attributes:
        reference: milliseconds, while the table was made, of the network that all others were timed in turn with, the
            one with half of all heads and neurons. What it takes later tells how the machine's speed has changed.
        error: median relative error on networks it was not fitted on.
        accuracy: what else was found out about that.
    """

    reference: float
    error: float
    accuracy: Accuracy

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        write_json(path, json.loads(self.model_dump_json()))

    @classmethod
    def load(cls, path: Path) -> LatencyTable:
        """Read a table.

        Raises:
            InputError: a damaged file.
        """
        again = "delete it and it is measured again"
        try:
            return cls.model_validate(read_json(path, again))
        except ValueError as error:
            raise InputError(f"the latency table {path} is damaged; {again}") from error
