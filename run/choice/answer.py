"""All that is known of a picked model."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...evaluation.choice import Answers, Candidate, difference_interval, error_interval, tied
from ...evaluation.latency import Latency, LatencyTable
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...supernet import Supernet


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
