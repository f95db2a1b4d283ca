"""All that a report states: the command line fills it from the archive and run.json, page and picture draw it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ..evaluation import SEARCHED, SUPERNET
from .comparison import NONE, Comparison
from .yardstick import Yardstick


@dataclass(frozen=True)
class Point:
    """A model and its numbers; what is not known is None or NaN.

    Raises:
        ValueError: heads and neurons of different numbers of layers.
    """

    key: str
    """The mask's `key`."""
    method: str
    """The searcher or pruner that found it, as people call it."""
    heads: tuple[int, ...]
    """Kept heads of each layer, `(L,)`."""
    neurons: tuple[int, ...]
    """Kept neurons of each layer, `(L,)`."""
    hidden: int
    """Kept dimensions of the residual stream."""
    error_selection: float
    """On the split that methods choose on."""
    error_report: float | None
    """On the split that is looked at once per reported model."""
    kept: float
    """Share of the encoder's parameters that are left, 0 to 1; of a model with zeros, of its weights that are not."""
    parameters: float | None
    """Of the whole model: embeddings and head too. A model with zeros saves nothing: all its costs are None."""
    encoder_parameters: float | None
    macs: float | None
    """Multiply-accumulates of one text."""
    latency_ms: float | None
    """Predicted by the latency table."""
    memory_mb: float | None = None
    """Of a process that serves it, predicted."""
    disk_mb: float | None = None
    """Of its weights on disk."""
    latency_measured_ms: float | None = None
    """Median of the extracted model's own run, end to end."""
    latency_low_ms: float | None = None
    """Lower quartile of that run."""
    latency_high_ms: float | None = None
    """Upper quartile of that run."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Of objectives that have no field here, by name."""
    error_int8: float | None = None
    """On the report split after quantisation, where models are served in int8."""
    on_front: bool = False
    """On the front of the searched models with its kind of weights."""
    weights: str = SUPERNET
    """As in the archive: `supernet`, or `standard` for a model that standard NAS has trained, ..."""
    layer: str = NONE
    """How much training followed the cut, of `LAYERS`; models of different layers are never shown together."""
    zeros: bool = False
    """It has zeros instead of fewer units."""
    density: float | None = None
    """What a pruner was asked for."""
    identity: str = ""
    """Tells it from all other models of the run; the key where that is enough."""
    extract: str = ""
    """What `secateur extract RUN` needs to make it a model of its own; `--key KEY` if empty."""

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.neurons):
            raise ValueError(f"{self.key} has heads of {len(self.heads)} layers but neurons of {len(self.neurons)}")

    def cost(self, name: str) -> float | None:
        """Return a number by its name."""
        return self.values[name] if name in self.values else getattr(self, name, None)

    @property
    def name(self) -> str:
        """What it is called in addresses and links."""
        return self.identity or self.key

    @property
    def layers(self) -> int:
        """Layers that keep a head or a neuron."""
        return sum(1 for heads, neurons in zip(self.heads, self.neurons, strict=True) if heads or neurons)


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

    weights: str
    """As in :class:`Point`."""
    title: str
    """What people call it."""
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
    layers: dict[str, str] = field(default_factory=lambda: {NONE: "no recovery"})
    """The layers that have points, with their titles."""
    wholes: dict[str, Point] = field(default_factory=dict)
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
            if len(point.heads) != len(self.full.heads):
                raise ValueError(
                    f"{point.key} has {len(point.heads)} layers, but the full model has {len(self.full.heads)}"
                )

    @property
    def front(self) -> tuple[Point, ...]:
        """The searched models on a front, the smallest encoder first, each once."""
        return self._each_once(p for p in self.points if p.on_front and p.weights in SEARCHED)

    @property
    def reported(self) -> tuple[Point, ...]:
        """All models that were scored on the report split, layer by layer, the smallest first, each once."""
        return self._each_once(p for p in self.points if p.error_report is not None)

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods, in the order of their points."""
        return tuple(dict.fromkeys(p.method for p in self.points))

    def whole(self, layer: str) -> Point:
        """Return what a layer's models are compared with."""
        return self.wholes.get(layer, self.full)

    def is_constant(self, point: Point) -> bool:
        """Tell whether a model is no better than a constant answer."""
        return self.yardstick.is_constant(point.error_selection, point.error_report)

    def _each_once(self, points: Iterable[Point]) -> tuple[Point, ...]:
        order = list(self.layers)
        once = {p.name: p for p in reversed(list(points))}.values()
        return tuple(sorted(once, key=lambda p: (order.index(p.layer), p.kept, p.name)))
