"""What `pick` answers: the model and its neighbours with all that is known of them, as JSON or as a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table

from ..evaluation.choice import Answers, Candidate, difference_interval, error_interval, tied
from ..evaluation.latency import Latency, LatencyTable
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..supernet import Supernet
from .front import kept


@dataclass(frozen=True)
class Picked:
    """One model of an answer; what is not known is NaN in Python and null in JSON.

    Errors are 1 - the task's metric, with the 95 % interval of the report split's. Latency is of the extracted model:
    p50 and p95 of requests, quartiles of repeats. `memory_mb` was measured, `memory_predicted_mb` was not.
    `error_int8` is that of the report split after quantisation, null where models are not served in int8.
    `difference_low` and `difference_high` bound its error less the chosen model's (95 %, the same rows of the report
    split); it is `tied` with that if 0 lies between them.
    """

    key: str
    weights: str
    layers: int
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    hidden: int
    error_selection: float
    error_report: float
    error_low: float
    error_high: float
    latency_ms: float
    latency_p50_ms: float
    latency_p95_ms: float
    latency_low_ms: float
    latency_high_ms: float
    memory_mb: float
    memory_predicted_mb: float
    disk_mb: float
    parameters: int
    encoder_parameters: int
    macs: int
    difference_low: float
    difference_high: float
    tied: bool
    error_int8: float = math.nan


@dataclass(frozen=True)
class Known:
    """What was found out about one model."""

    candidate: Candidate
    answers: Answers
    latency: Latency
    memory: float = math.nan
    error_int8: float = math.nan


def picked(one: Known, chosen: Known, supernet: Supernet, table: LatencyTable, *, seed: int) -> Picked:
    """Put together what is known of a model, and compare it with the chosen one; the seed is of the resamples."""
    mask = one.candidate.evaluation.mask
    costs = {name: make(supernet, table).of(mask) for name, make in OBJECTIVES.items()}
    low, high = error_interval(one.answers, seed=seed)
    difference = difference_interval(one.answers, chosen.answers, seed=seed)
    return Picked(
        key=mask.key,
        weights=one.candidate.evaluation.weights,
        layers=sum(1 for h, n in zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True) if h or n),
        heads=mask.heads_per_layer,
        neurons=mask.neurons_per_layer,
        hidden=mask.hidden_size,
        error_selection=one.candidate.values[ERROR],
        error_report=one.answers.error(),
        error_low=low,
        error_high=high,
        latency_ms=one.latency.median,
        latency_p50_ms=one.latency.p50,
        latency_p95_ms=one.latency.p95,
        latency_low_ms=one.latency.low,
        latency_high_ms=one.latency.high,
        memory_mb=one.memory,
        memory_predicted_mb=costs["memory_mb"],
        disk_mb=costs["disk_mb"],
        parameters=int(costs["parameters"]),
        encoder_parameters=int(costs["encoder_parameters"]),
        macs=int(costs["macs"]),
        difference_low=difference[0],
        difference_high=difference[1],
        tied=tied(difference),
        error_int8=one.error_int8,
    )


def answer_json(roles: Mapping[str, Picked], facts: Mapping[str, Any]) -> str:
    """Write an answer as JSON: `chosen`, `cheaper` and `dearer`, null where there is none, and facts about it all."""
    found = {role: asdict(roles[role]) if role in roles else None for role in ("chosen", "cheaper", "dearer")}
    return json.dumps(_without_nan({**found, **facts}))


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(one) for name, one in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def answer_table(roles: Mapping[str, Picked], title: str) -> Table:
    """Draw the models as a table, the cheapest first."""
    table = Table(title=title, title_justify="left")
    table.add_column("", no_wrap=True, min_width=7)
    table.add_column("key", no_wrap=True, min_width=16)
    int8 = not all(math.isnan(p.error_int8) for p in roles.values())
    latency = f"{'int8: error, ms' if int8 else 'latency ms'}, p50 (quartiles)"
    names = ("layers", "heads", "neurons", "error, selection", "error, report (95 %)", latency)
    for name in (*names, "p95", "memory MB"):
        table.add_column(name, justify="right")
    for role in ("cheaper", "chosen", "dearer"):
        if (p := roles.get(role)) is None:
            continue
        table.add_row(
            role,
            p.key,
            str(p.layers),
            kept(p.heads),
            kept(p.neurons),
            f"{p.error_selection:.4f}",
            f"{p.error_report:.4f} ({p.error_low:.4f}-{p.error_high:.4f})",
            f"{'' if math.isnan(p.error_int8) else f'{p.error_int8:.4f}, '}"
            f"{p.latency_p50_ms:.2f} ({p.latency_low_ms:.2f}-{p.latency_high_ms:.2f})",
            "-" if math.isnan(p.latency_p95_ms) else f"{p.latency_p95_ms:.2f}",
            f"about {p.memory_predicted_mb:.0f}" if math.isnan(p.memory_mb) else f"{p.memory_mb:.0f}",
        )
    return table


def tie_lines(roles: Mapping[str, Picked]) -> list[str]:
    """Say of each neighbour whether it is statistically tied with the chosen model."""
    lines = []
    for role in ("cheaper", "dearer"):
        if (p := roles.get(role)) is not None:
            verdict = "is statistically tied with it" if p.tied else "is not tied with it"
            lines.append(
                f"the next {role} one {verdict}: its error less the chosen one's lies in {p.difference_low:+.4f} to "
                f"{p.difference_high:+.4f} (95 %, report split)"
            )
    return lines
