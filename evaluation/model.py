"""A model of a run: what it keeps, whose weights it has, what it got on both splits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from ..errors import InputError
from .evaluation import ERROR_INT8, NONZERO, Evaluation, other_scores
from .objectives import ERROR, OBJECTIVES
from .weights import Weights

_DIGITS = 6  # of numbers in JSON: the error of a timing lies in the third, that of an error in the fourth

_PREDICTED = {"latency_ms": "latency_predicted_ms", "memory_mb": "memory_predicted_mb"}


class Home(Protocol):
    """The run that a model belongs to, which can make a checkpoint of it."""

    def export(self, to: str | Path, **settings: Any) -> Any:
        """Write a model of the run, chosen by its key, weights, method and density."""
        ...

    def extract(self, to: str | Path | None = None, **settings: Any) -> Any:
        """Likewise, without measuring or converting it."""
        ...


@dataclass(frozen=True)
class Model:
    """One model of a run; what is not known is None, and so is `tokens`, how many it reads, of one that reads all.

    Its key and its weights together tell it from all others; a pruned model's key needs its method and density too.
    Errors are 1 - the task's metric: `error_selection` is what all choices are made on, `error_report` was looked at
    once, with its 95 % interval where the model was picked; `error_int8` is the report split's after quantisation.
    `latency_ms` and what goes with it was measured end to end on the extracted model as it is served,
    `latency_predicted_ms` comes from the table of parts; `memory_mb` was measured, `memory_predicted_mb` was not.
    `difference_low` and `difference_high` bound its error less the chosen model's (95 %, the same rows of the report
    split); it is `tied` with that if 0 lies between them. `flip_rate`, with its 95 % interval, is how much it answers
    otherwise than the fine-tuned model on the selection split, where that was asked. `nonzero` is the share of weights
    that are left, of a model with zeros instead of fewer units. `values` are of objectives that have no field here,
    `scores` of the task's other metrics on the report split. It is `constant` if it is no better than a constant answer
    on one of the splits.

    Raises:
        ValueError: heads and neurons of different numbers of layers.
    """

    key: str
    weights: Weights
    method: str
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    hidden: int
    tokens: int | None = field(default=None, kw_only=True)
    error_selection: float
    error_report: float | None = None
    error_low: float | None = None
    error_high: float | None = None
    parameters: int | None = None
    encoder_parameters: int | None = None
    macs: int | None = None
    latency_ms: float | None = None
    latency_low_ms: float | None = None
    latency_high_ms: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_predicted_ms: float | None = None
    memory_mb: float | None = None
    memory_predicted_mb: float | None = None
    disk_mb: float | None = None
    density: float | None = None
    nonzero: float | None = None
    error_int8: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    tied: bool | None = None
    flip_rate: float | None = None
    flip_low: float | None = None
    flip_high: float | None = None
    constant: bool = False
    values: dict[str, float] = field(default_factory=dict, hash=False)
    scores: dict[str, float] = field(default_factory=dict, hash=False)
    home: Home | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.neurons):
            raise ValueError(f"{self.key} has heads of {len(self.heads)} layers but neurons of {len(self.neurons)}")

    @property
    def layers(self) -> int:
        """How many layers keep anything."""
        return sum(1 for heads, neurons in zip(self.heads, self.neurons, strict=True) if heads or neurons)

    def cost(self, name: str) -> float | None:
        """Return a cost; latency and memory as measured, else as predicted."""
        value = getattr(self, name) if name in _FIELDS else self.values.get(name)
        return getattr(self, _PREDICTED[name]) if value is None and name in _PREDICTED else value

    def is_predicted(self, name: str) -> bool:
        """Tell whether a cost was not measured, but could be."""
        return name in _PREDICTED and getattr(self, name) is None and self.cost(name) is not None

    def facts(self) -> dict[str, Any]:
        """Return all that is known, JSON-ready, numbers with six digits."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("home", "values")}
        return {"layers": self.layers} | rounded(known | self.values)

    @property
    def identity(self) -> dict[str, str | float]:
        """The settings by which `extract` and `export` take this model of its run and no other."""
        known: dict[str, str | float] = {"key": self.key}
        known |= {} if self.weights is Weights.SUPERNET else {"weights": self.weights.value}
        known |= {} if self.weights.one_per_mask else {"method": self.method}
        return known if self.density is None else known | {"density": self.density}

    @property
    def options(self) -> str:
        """Its identity as options of `secateur extract RUN`."""
        told = {name: value if isinstance(value, str) else f"{value:g}" for name, value in self.identity.items()}
        return " ".join(f"--{name} {value}" for name, value in told.items())

    def export(self, to: str | Path, **settings: Any) -> Any:
        """Write it as a checkpoint to serve; for the settings see :meth:`Run.export`.

        Raises:
            InputError: it does not know its run.
        """
        return self._at_home().export(to, **self.identity, **settings)

    def extract(self, to: str | Path | None = None, **settings: Any) -> Any:
        """Write it as a checkpoint and no more; for the settings see :meth:`Run.extract`."""
        return self._at_home().extract(to, **self.identity, **settings)

    def _at_home(self) -> Home:
        if self.home is None:
            raise InputError(f"the model {self.key} does not know its run; take it from `Run.front` or `Run.pick`")
        return self.home


_FIELDS = {one.name for one in fields(Model)}


def rounded(value: Any) -> Any:
    """Return a value JSON-ready: numbers with six digits, None for what is none."""
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None
    return value


def model_of(selection: Evaluation, report: Evaluation | None, home: Home | None = None) -> Model:
    """Put together what the archive has of a model on both splits.

    Args:
        selection: its row on the selection split.
        report: on the report split, if it was scored there.
        home: its run.
    """
    values, reported = selection.values, {} if report is None else report.values
    timed = "latency_low_ms" in reported  # otherwise what is there is the table's prediction
    return Model(
        key=selection.key,
        weights=selection.weights,
        method=selection.method,
        heads=selection.mask.heads_per_layer,
        neurons=selection.mask.neurons_per_layer,
        hidden=selection.mask.hidden_size,
        tokens=None if selection.mask.tokens is None else selection.mask.tokens.count,
        error_selection=values[ERROR],
        error_report=reported.get(ERROR),
        parameters=_count(values.get("parameters")),
        encoder_parameters=_count(values.get("encoder_parameters")),
        macs=_count(values.get("macs")),
        latency_ms=reported["latency_ms"] if timed else None,
        latency_low_ms=reported.get("latency_low_ms"),
        latency_high_ms=reported.get("latency_high_ms"),
        latency_p95_ms=reported.get("latency_p95_ms"),
        latency_predicted_ms=values.get("latency_ms"),
        memory_predicted_mb=values.get("memory_mb"),
        disk_mb=values.get("disk_mb"),
        density=selection.recipe.get("density"),
        nonzero=values.get(NONZERO),
        error_int8=reported.get(ERROR_INT8),
        values={name: values[name] for name in OBJECTIVES if name in values and name not in _FIELDS},
        scores={} if report is None else other_scores(report),
        home=home,
    )


def _count(value: float | None) -> int | None:
    return None if value is None else int(value)
