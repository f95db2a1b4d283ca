"""What one subnetwork got on one split, and with whose weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..search_space import EncoderShape, SubnetMask
from .weights import Weights

# As the archive names the splits.
SELECTION, REPORT = "selection", "report"
# Methods that are no search's and no pruner's: the fine-tuned model itself, nothing removed; and a model of a front
# that is scored on the report split, which chooses nothing.
WHOLE, METHOD = "whole", "front"
# Names of values beside the objectives: 1 if a pruned model's weights are not plain slices, else 0; the
# share of weights that are left, of a model with zeros instead of fewer units; the report split's error after
# quantisation; and the beginning of the names of what other metrics say on the report split.
SCALED, NONZERO, ERROR_INT8, SCORE = "scaled", "nonzero", "error_int8", "score_"
# A budget: how much a model answers otherwise than the fine-tuned one.
FLIP_RATE = "flip_rate"
# In the values of a subnetwork whose race was stopped: on how many rows of its own its error, an estimate, rests.
ROWS = "rows"


@dataclass(frozen=True)
class Evaluation:
    """What one subnetwork got on one split.

    Raises:
        ValueError: a key that is not the mask's, or weights that are none of :class:`Weights`.
    """

    key: str
    """The mask's `key`."""
    mask: SubnetMask
    x: tuple[int, ...] | None
    """The point of the search space; None if a pruner found the mask."""
    space: str
    method: str
    """The searcher or pruner."""
    seed: int
    split: str
    """`selection`, on which methods choose, or `report`, which is looked at once per reported model."""
    values: dict[str, float]
    """Objective name to value, lower is better; NaN if the evaluation failed."""
    seconds: float
    asked: bool
    """False if it came for free, such as another depth from the same pass."""
    weights: Weights = Weights.SUPERNET
    """Whose they are: the same mask with those of two kinds is two models. Their names will do."""
    recipe: dict[str, Any] = field(default_factory=dict)
    """What a pruner was asked for beside its seed, JSON-ready: `density`, `cost`, ...; nothing for a search."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", Weights(self.weights))
        if self.key != self.mask.key:
            raise ValueError(f"an evaluation's key must be its mask's, {self.mask.key}, got {self.key!r}")

    @property
    def model(self) -> tuple[str, ...]:
        """What tells the evaluated model from all others, on whatever split.

        Of a search that is the mask and the kind of weights. Pruners may scale or train what is left of the same mask.
        """
        if self.weights.one_per_mask:
            return self.key, self.weights
        return self.key, self.weights, self.method, str(self.seed), canonical(self.recipe)

    def share(self, shape: EncoderShape) -> float:
        """Return the share of a whole encoder's parameters that are left; with zeros, of weights that are none."""
        return self.values.get(NONZERO, self.mask.encoder_parameters(shape) / shape.encoder_parameters)


def canonical(recipe: Mapping[str, Any]) -> str:
    """Write a recipe as the archive compares it."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"))


def other_scores(report: Evaluation) -> dict[str, float]:
    """Return what metrics other than the error's say of a model on the report split, by name."""
    return {name.removeprefix(SCORE): value for name, value in report.values.items() if name.startswith(SCORE)}
