"""Every method on one front: what is compared, and who is ahead. The command line fills it, pages draw it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ..model import Model
from ..pareto import normalised_hypervolume
from ..weights import Layer
from .parts import duration
from .yardstick import Yardstick

if TYPE_CHECKING:
    import pandas as pd

# What a budget is a share of; a model with zeros is as large as before, so it has an axis of its own.
ENCODER, NONZERO = "encoder_parameters", "nonzero"
TOLERANCE = 1 + 1e-9  # of a budget


@dataclass(frozen=True)
class ComparedPoint:
    """One model of a method, scored on both splits.

    Attributes:
        model: what is known of it.
        method: as people call it: a pruner's name with what was changed about it, or `nas (SEARCHER)`.
        density: asked for; of a search the budget that the model is the best within.
        share: what is kept of its axis.
        seed: of the method's random draws.
        seconds: all that making it takes, beside fine-tuning: pruning or search, and training.
        shared_seconds: how many of these serve all models of its method together, such as a supernet's training.
        texts: of the task that were looked at.
        labels: of these texts that were used.
        epochs: passes over the training split that it was trained for by itself.
    """

    model: Model
    method: str
    density: float
    share: float
    seed: int
    seconds: float
    shared_seconds: float
    texts: int
    labels: int
    epochs: float

    @property
    def layer(self) -> Layer:
        """How much training followed the cut."""
        return self.model.weights.layer

    @property
    def axis(self) -> str:
        """What `share` is a share of: ENCODER, or NONZERO for a model with zeros."""
        return ENCODER if self.model.nonzero is None else NONZERO

    @property
    def error_report(self) -> float:
        """On the report split, looked at once."""
        return math.nan if self.model.error_report is None else self.model.error_report

    def facts(self) -> dict[str, Any]:
        """Return all of it, as `compare --json` prints it: what is known of the model, and what it took."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "model"}
        return self.model.facts() | {"layer": self.layer, "axis": self.axis} | own


@dataclass(frozen=True)
class Entry:
    """A method at a density: means over its seeds, and standard deviations where there are several (else 0)."""

    method: str
    layer: Layer
    axis: str
    density: float
    share: float
    seeds: int
    error_selection: float
    error_report: float
    deviation_selection: float
    deviation_report: float
    latency_ms: float | None
    seconds: float
    shared_seconds: float
    labels: int

    @classmethod
    def of(cls, points: Sequence[ComparedPoint]) -> Entry:
        """Put the seeds of one method at one density together."""
        first = points[0]
        selection, report = [p.model.error_selection for p in points], [p.error_report for p in points]
        latencies = [p.model.latency_ms for p in points if p.model.latency_ms is not None]
        return cls(
            method=first.method,
            layer=first.layer,
            axis=first.axis,
            density=first.density,
            share=statistics.fmean(p.share for p in points),
            seeds=len(points),
            error_selection=statistics.fmean(selection),
            error_report=statistics.fmean(report),
            deviation_selection=_deviation(selection),
            deviation_report=_deviation(report),
            latency_ms=statistics.fmean(latencies) if latencies else None,
            seconds=statistics.fmean(p.seconds for p in points),
            shared_seconds=statistics.fmean(p.shared_seconds for p in points),
            labels=max(p.labels for p in points),
        )


@dataclass(frozen=True)
class Standing:
    """A method in a layer: the share, 0 to 1, that its front covers, and what all of the front takes (one seed)."""

    method: str
    layer: Layer
    axis: str
    hypervolume: float
    seconds: float
    labels: int

    def __str__(self) -> str:
        labels = "no labels" if not self.labels else f"{self.labels:,} label{'' if self.labels == 1 else 's'}"
        return f"{self.method}: {duration(self.seconds)}, {labels}"


@dataclass(frozen=True)
class Winner:
    """Who has the lowest selection error within a budget, and what it has on the report split."""

    layer: Layer
    axis: str
    budget: float
    entry: Entry


@dataclass(frozen=True)
class Comparison:
    """All methods of a run.

    Attributes:
        title, task, metric, model: what it is about; the error is 1 - metric.
        points: all of them.
        wholes: by layer, the model with nothing removed, with as much training as that layer's others; where scored.
        budgets: shares of the encoder's parameters at which methods are compared, the largest first.
        yardstick: what the errors are held against.
        epochs: of the distillation in the layer of equal recovery; None where there is none.
        after_refit: it began with refitted models.
        facts: evaluator, splits, recovery: name to sentence.
    """

    title: str
    task: str
    metric: str
    model: str
    points: tuple[ComparedPoint, ...]
    wholes: Mapping[Layer, ComparedPoint]
    budgets: tuple[float, ...]
    yardstick: Yardstick
    epochs: float | None
    after_refit: bool
    facts: dict[str, str]

    def to_dataframe(self) -> pd.DataFrame:
        """Return the points as a data frame, a row each, the columns of `compare --json`."""
        import pandas as pd

        return pd.DataFrame([point.facts() for point in self.points])

    @property
    def worst_error(self) -> float:
        """The worst that counts: the best constant answer's on the selection split, 1 if that makes none."""
        return self.yardstick.constant or 1.0

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those that have points."""
        return tuple(layer for layer in Layer if any(p.layer == layer for p in self.points))

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods, in the order of their points: searches first, then pruners as they are listed."""
        return tuple(dict.fromkeys(p.method for p in self.points))

    @property
    def top(self) -> float:
        """The highest error of the report split that a picture shows, the same for all layers."""
        errors = [p.error_report for p in (*self.wholes.values(), *self.points)]
        return self.yardstick.top(next((p.error_report for p in self.wholes.values()), None), errors)

    def is_constant(self, entry: Entry) -> bool:
        """Tell whether a method's mean errors are no better than a constant answer's."""
        return self.yardstick.is_constant(entry.error_selection, entry.error_report)

    def layer_title(self, layer: Layer) -> str:
        """Name a layer for people."""
        if layer is not Layer.RECOVERED or self.epochs is None:
            return layer.label
        after = " after the refit" if self.after_refit else ""
        return f"{layer.label}: {self.epochs:g} epoch{'' if self.epochs == 1 else 's'} of distillation{after}"

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The points with seeds put together: by layer, the largest density first, then the lowest selection error."""

        def group(p: ComparedPoint) -> tuple[int, str, float, str]:
            return list(Layer).index(p.layer), p.axis, -p.density, p.method

        found = [Entry.of(list(points)) for _, points in groupby(sorted(self.points, key=group), key=group)]
        return tuple(sorted(found, key=lambda e: (list(Layer).index(e.layer), e.axis, -e.density, e.error_selection)))

    def rows(self, layer: Layer) -> tuple[Entry, ...]:
        """Return a layer's table: the whole model, where it has one, then the entries in their order."""
        whole = [Entry.of([self.wholes[layer]])] if layer in self.wholes else []
        return (*whole, *(entry for entry in self.entries if entry.layer == layer))

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Each method in each layer, the largest hypervolume first.

        Of (error, share) on the selection split, between nothing at all, (0, 0), and the best constant answer with the
        whole network, (worst_error, 1): the same bounds for every method and layer. Seeds count by their mean.
        """
        found = []
        for (layer, axis, method), entries in _grouped(self.entries).items():
            volume = normalised_hypervolume(
                [(e.error_selection, e.share) for e in entries], (0.0, 0.0), (self.worst_error, 1.0)
            )
            shared = max(e.shared_seconds for e in entries)
            seconds = shared + sum(e.seconds - e.shared_seconds for e in entries)
            found.append(Standing(method, layer, axis, volume, seconds, max(e.labels for e in entries)))
        return tuple(sorted(found, key=lambda s: (list(Layer).index(s.layer), s.axis, -s.hypervolume)))

    @property
    def winners(self) -> tuple[Winner, ...]:
        """For each layer and budget the lowest mean selection error within it, of equal ones the smaller model.

        Models with zeros are no smaller than the whole one: their budgets are the shares they were made at.
        """
        found = []
        for layer, axis in dict.fromkeys((e.layer, e.axis) for e in self.entries):
            mine = [e for e in self.entries if (e.layer, e.axis) == (layer, axis) and not math.isnan(e.error_selection)]
            budgets = sorted({e.density for e in mine}, reverse=True) if axis == NONZERO else self.budgets
            for budget in budgets:
                within = [e for e in mine if e.share <= budget * TOLERANCE]
                if within:
                    best = min(within, key=lambda e: (e.error_selection, e.share))
                    found.append(Winner(layer, axis, budget, best))
        return tuple(found)


def _grouped(entries: Iterable[Entry]) -> dict[tuple[Layer, str, str], list[Entry]]:
    groups: dict[tuple[Layer, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.layer, entry.axis, entry.method), []).append(entry)
    return groups


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
