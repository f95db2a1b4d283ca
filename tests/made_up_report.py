"""Runs that never were, for tests of the report."""

from __future__ import annotations

from dataclasses import replace

from secateur.evaluation.model import Model
from secateur.evaluation.report import Approach, Curve, Point, ReportFacts, StageCost, Yardstick
from secateur.evaluation.weights import Layer, Weights

TITLE = 'SST-2 <b>"pruned"</b> & $HOME'
NAN = float("nan")


def point(key, latency, error, encoder, *, front=False, method="nsga2", heads=(3, 0), neurons=(40, 0), **changes):
    """Return a made-up subnetwork; those on the front have a report error and a measured latency."""
    made = Model(
        key=key,
        weights=Weights.SUPERNET,
        method=method.partition(" ")[0],
        heads=heads,
        neurons=neurons,
        hidden=16,
        error_selection=error,
        error_report=error + 0.01 if front else None,
        parameters=encoder + 5e6,
        encoder_parameters=encoder,
        macs=encoder * 128,
        latency_predicted_ms=latency,
        disk_mb=4 * encoder / 1e6,
        latency_ms=latency * 1.1 if front else None,
        latency_low_ms=latency if front else None,
        latency_high_ms=latency * 1.2 if front else None,
    )
    return Point(replace(made, **changes), method, encoder / 10e6, key, front)


def changed(one: Point, **changes) -> Point:
    """Return a point with another model."""
    return replace(one, model=replace(one.model, **changes))


FULL = point("f" * 16, 30.0, 0.08, 10e6, front=True, method="fine-tuned", heads=(4, 4), neurons=(64, 64))
POINTS = (
    point("a" * 16, 5.0, 0.30, 4e6, front=True),
    point("b" * 16, 10.0, 0.20, 5e6, front=True, method="kcm </script><i>"),
    point("c" * 16, 20.0, 0.10, 8e6, front=True),
    point("d" * 16, 9.9, 0.31, 1e6),  # dominated in latency, the smallest encoder
    point("e" * 16, 8.0, NAN, 2e6),  # failed
    point("0" * 16, 12.0, 0.20, 5.5e6),  # as good as b, but slower
)


def one_layer() -> ReportFacts:
    """Return a search and a pruner of one layer."""
    return ReportFacts(
        title=TITLE,
        task="sst2",
        metric="accuracy",
        model="bert <tiny>",
        space="medium",
        strategy="sandwich",
        full=replace(FULL, on_front=False),
        points=POINTS,
        stages=(StageCost("search", 185.0, "6 evaluations"), StageCost("report", NAN)),
        target="a made-up processor, cpu, 2 threads",
        table_error=0.031,
        environment={"python": "3.12 <x>"},
        splits="Selection is held out of train; report is the validation split.",
        hypervolumes={"nsga2": 0.4124},
        yardstick=Yardstick(constant=0.31, constant_report=0.5, rows=200),
        run="runs/my run",
    )


def all_layers() -> ReportFacts:
    """Return a run with models of all layers, two of the same mask, one with zeros, one quantised."""
    own = replace(POINTS[1], method="standard nas (moasha)", name="b-standard")
    own = changed(own, weights=Weights.STANDARD, error_int8=0.24)
    zeros = point("2" * 16, 30.0, 0.05, 10e6, front=True, method="deepcuts")
    costs = ("parameters", "encoder_parameters", "macs", "latency_ms", "disk_mb", "latency_predicted_ms")
    zeros = changed(zeros, nonzero=0.25, density=0.25, weights=Weights.NATIVE, **dict.fromkeys(costs))
    recovered = point("3" * 16, 6.0, 0.12, 3e6, front=True, method="kcm", density=0.3, weights=Weights.RECOVERED)
    refitted = point("4" * 16, 6.5, 0.16, 3e6, front=True, method="kcm", density=0.3, weights=Weights.REFITTED)
    approaches = (Approach(Weights.SUPERNET, 190.0, 0.75), Approach(Weights.STANDARD, 7300.0, 0.51))
    layers = {layer: layer.label for layer in Layer} | {Layer.RECOVERED: "equal short recovery: 1 epoch"}
    return replace(
        one_layer(),
        points=(*POINTS, own, replace(zeros, kept=0.25), refitted, recovered),
        wholes={
            Layer.NONE: replace(FULL, on_front=False),
            Layer.RECOVERED: changed(replace(FULL, on_front=False), error_selection=0.07),
        },
        layers=layers,
        curves=(Curve("nsga2", (1, 4, 6), (0.1, 0.3, 0.4124)),),
        approaches=approaches,
    )
