"""All that a report states: the command line fills it from the archive and run.json, page and picture draw it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..model import Model
from ..weights import Layer, Weights
from .comparison import Comparison
from .yardstick import Yardstick

# What the page calls otherwise: its axis `latency_ms` is what the table predicts for every model.
_STORED = {
    "latency_measured_ms": "latency_ms",
    "latency_ms": "latency_predicted_ms",
    "memory_mb": "memory_predicted_mb",
}


@dataclass(frozen=True)
class Point:
    """A model on the page.

    Attributes:
        model: what is known of it.
        method: the searcher or pruner that found it, as people call it.
        kept: share of the encoder's parameters that are left, 0 to 1; of a model with zeros, of its weights that are
            not.
        name: what it is called in addresses and links; no other model of the run is called so.
        on_front: on the front of the searched models with its kind of weights.
    """

    model: Model
    method: str
    kept: float
    name: str
    on_front: bool = False

    @property
    def layer(self) -> Layer:
        """How much training followed the cut; models of different layers are never shown together."""
        return self.model.weights.layer

    def cost(self, name: str) -> float | None:
        """Return a number by the name that the page has for it."""
        if name == "kept":
            return self.kept
        return self.model.values.get(name, getattr(self.model, _STORED.get(name, name), None))


@dataclass(frozen=True)
class Curve:
    """How the hypervolume of a search grew; larger is better.

    Attributes:
        method: the searcher, as in :class:`Point`.
        evaluations: `(n,)`, how many it had asked for, rising.
        hypervolumes: `(n,)`, of all that it knew then, between the bounds of `ReportFacts.hypervolumes`.
    """

    method: str
    evaluations: tuple[int, ...]
    hypervolumes: tuple[float, ...]


@dataclass(frozen=True)
class StageCost:
    """How long a stage of the run took."""

    name: str
    seconds: float
    note: str = ""
    """What the time bought: epochs, evaluations."""


@dataclass(frozen=True)
class Approach:
    """One of the ways to a front, all of whose models have one kind of weights."""

    weights: Weights
    seconds: float
    """What the stages took that it needs, beside those that all approaches need."""
    hypervolume: float = math.nan
    """Of its front, between the bounds of `ReportFacts.hypervolumes`; larger is better."""


@dataclass(frozen=True)
class ReportFacts:
    """A run, as its report shows it.

    Raises:
        ValueError: a point of another encoder than the whole model's.
    """

    title: str
    task: str
    metric: str
    """What is scored; the error is 1 - score."""
    model: str
    full: Point
    """The model that was pruned, nothing removed."""
    points: tuple[Point, ...]
    """Everything evaluated, by every method; a model that several searchers found is there for each."""
    stages: tuple[StageCost, ...]
    target: str
    """What the latencies belong to, in words: machine, threads, batch size, sequence length, precision."""
    table_error: float
    """Median relative error of the latency table on networks that it was not fitted on, 0.03 for 3 %."""
    environment: dict[str, str]
    splits: str
    """Which data the two errors are from, in a sentence or two."""
    space: str = ""
    """The search space; nothing if none was searched."""
    strategy: str = ""
    """How the supernet was trained."""
    layers: Mapping[Layer, str] = field(default_factory=lambda: {Layer.NONE: Layer.NONE.label})
    """The layers that have points, with their titles."""
    wholes: Mapping[Layer, Point] = field(default_factory=dict)
    """By layer, the whole model after as much training as that layer's others; `full` where there is none."""
    table_facts: dict[str, str] = field(default_factory=dict)
    """What else is known about how good the latency table is: name to value."""
    hypervolumes: dict[str, float] = field(default_factory=dict)
    """By searcher, all against the same reference point."""
    curves: tuple[Curve, ...] = ()
    """How they came about."""
    approaches: tuple[Approach, ...] = ()
    """What is compared where there is more than one."""
    comparison: Comparison | None = None
    """All methods at equal budgets, if there are several."""
    yardstick: Yardstick = field(default_factory=Yardstick)
    """What the errors are held against."""
    run: str = "RUN"
    """The run's folder, as the `extract` command takes it."""

    def __post_init__(self) -> None:
        for point in self.points:
            layers, mine = len(self.full.model.heads), len(point.model.heads)
            if mine != layers:
                raise ValueError(f"{point.model.key} has {mine} layers, but the full model has {layers}")

    @property
    def front(self) -> tuple[Point, ...]:
        """The searched models on a front, the smallest encoder first, each once."""
        return self._each_once(p for p in self.points if p.on_front and p.model.weights.one_per_mask)

    @property
    def reported(self) -> tuple[Point, ...]:
        """All models that were scored on the report split, layer by layer, the smallest first, each once."""
        return self._each_once(p for p in self.points if p.model.error_report is not None)

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods, in the order of their points."""
        return tuple(dict.fromkeys(p.method for p in self.points))

    def whole(self, layer: Layer) -> Point:
        """Return what a layer's models are compared with."""
        return self.wholes.get(layer, self.full)

    def is_constant(self, point: Point) -> bool:
        """Tell whether a model is no better than a constant answer."""
        return self.yardstick.is_constant(point.model.error_selection, point.model.error_report)

    def _each_once(self, points: Iterable[Point]) -> tuple[Point, ...]:
        order = list(self.layers)
        once = {p.name: p for p in reversed(list(points))}.values()
        return tuple(sorted(once, key=lambda p: (order.index(p.layer), p.kept, p.name)))
