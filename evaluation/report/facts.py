"""All that a report states: the command line fills it from the archive and run.json, page and picture draw it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..archive import SUPERNET


@dataclass(frozen=True)
class Point:
    """A subnetwork and its numbers; what is not known is None or NaN.

    Raises:
        ValueError: heads and neurons of different numbers of layers.
    """

    key: str
    """The mask's `key`."""
    method: str
    """The searcher or pruner that found it."""
    heads: tuple[int, ...]
    """Kept heads of each layer, `(L,)`."""
    neurons: tuple[int, ...]
    """Kept neurons of each layer, `(L,)`."""
    hidden: int
    """Kept dimensions of the residual stream."""
    error_selection: float
    """On the split that the search chose on."""
    error_report: float | None
    """On the split that is looked at once per reported model."""
    parameters: float
    """Of the whole model: embeddings and head too."""
    encoder_parameters: float
    macs: float
    """Multiply-accumulates of one text."""
    latency_ms: float
    """Predicted by the latency table."""
    latency_measured_ms: float | None = None
    """Median of the extracted model's own run, end to end."""
    latency_low_ms: float | None = None
    """Lower quartile of that run."""
    latency_high_ms: float | None = None
    """Upper quartile of that run."""
    on_front: bool = False
    """On the front of the models with its kind of weights."""
    weights: str = SUPERNET
    """`supernet`, or `standard` for a model that standard NAS has trained."""

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.neurons):
            raise ValueError(f"{self.key} has heads of {len(self.heads)} layers but neurons of {len(self.neurons)}")

    @property
    def name(self) -> str:
        """The key, told apart from the same mask's with the supernet's weights."""
        return self.key if self.weights == SUPERNET else f"{self.key}-{self.weights}"

    @property
    def layers(self) -> int:
        """Layers that keep a head or a neuron."""
        return sum(1 for heads, neurons in zip(self.heads, self.neurons, strict=True) if heads or neurons)


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
        ValueError: a point of another encoder than the full model's.
    """

    title: str
    task: str
    metric: str
    """What is scored; the error is 1 - score."""
    model: str
    space: str
    strategy: str
    full: Point
    """The model that was pruned, nothing removed."""
    points: tuple[Point, ...]
    """Everything evaluated, the front included."""
    stages: tuple[StageCost, ...]
    target: str
    """What the latencies belong to, in words: machine, threads, batch size, sequence length, precision."""
    table_error: float
    """Median relative error of the latency table, 0.03 for 3 %."""
    environment: dict[str, str]
    splits: str
    """Which data the two errors are from, in a sentence or two."""
    hypervolumes: dict[str, float] = field(default_factory=dict)
    """By method, all against the same reference point."""
    approaches: tuple[Approach, ...] = ()
    """What is compared where there is more than one."""
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
        """The points on the front, the smallest encoder first."""
        return tuple(sorted((p for p in self.points if p.on_front), key=lambda p: p.encoder_parameters))
