"""`secateur bench`: checkpoints side by side, as they would be served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..evaluation.bench import Served, load_any, serve, sizes_of, ways_to_serve
from ..evaluation.latency import LatencyTarget, busy
from ..evaluation.work import Load
from ..run.choice.columns import Column, amount, between
from ..run.settings.choice import LoadSettings
from .console import print_json, print_text, progress, say
from .settings import BenchCommand
from .tables import show

Row = tuple[LatencyTarget, list[Served], float]  # the last is the spread of the first checkpoint's time


def bench(settings: BenchCommand) -> None:
    """Measure latency, throughput and memory of checkpoints, in turn with one another."""
    names, length = settings.checkpoints, settings.sequence_length
    ways = settings.runtime, settings.precision, settings.batch_size
    targets = ways_to_serve(*ways, sequence_length=length, threads=settings.threads, device=settings.device)
    told = settings.model_dump(include=set(LoadSettings.model_fields), exclude_unset=True)
    load = Load(**told) if told else None
    models = [load_any(name, length) for name in names]
    rows: list[Row] = []
    with progress("bench") as tick:
        for done, target in enumerate(targets):
            tick(done, len(targets), f"{target.runtime}, batch {target.batch_size}, {target.precision}")
            wanted = {"seconds": settings.seconds, "memory": settings.memory, "load": load}
            rows.append((target, *serve(models, target, **wanted)))
        tick(len(targets), len(targets))
    sizes = [sizes_of(name, model) for name, model in zip(names, models, strict=True)]
    if settings.as_json:
        print_json([fact for row in rows for fact in _facts(names, row, sizes)])
    else:
        for row in rows:
            _show(names, row, sizes)
    for target, _, spread in rows:
        if warning := busy(spread):
            say(f"warning: {target.runtime}, batch {target.batch_size}: {warning}")


def _facts(names: Sequence[str], row: Row, sizes: list[dict[str, float]]) -> list[dict[str, Any]]:
    target, served, spread = row
    return [
        {
            "checkpoint": name,
            **size,
            "target": target.model_dump(mode="json"),
            "latency_ms": one.latency.median,
            "latency_low_ms": one.latency.low,
            "latency_high_ms": one.latency.high,
            "latency_p95_ms": one.latency.p95,
            "texts_per_second": one.texts,
            "memory_mb": one.memory_mb,
            "under_load": None if one.under_load is None else one.under_load.facts(),
            "spread": spread,
        }
        for name, one, size in zip(names, served, sizes, strict=True)
    ]


def _show(names: Sequence[str], row: Row, sizes: list[dict[str, float]]) -> None:
    target, served, _ = row
    first = served[0].latency.median
    cells = {
        "parameters": [amount(size["parameters"]) for size in sizes],
        "weights, MB": [amount(size["weights_mb"]) for size in sizes],
        "p50, ms": [amount(one.latency.p50) for one in served],
        "quartiles": [between(one.latency.low, one.latency.high, amount) for one in served],
        "p95, ms": [amount(one.latency.p95) for one in served],
        "texts/s": [amount(one.texts) for one in served],
        "times as fast": [f"{first / one.latency.median:.2f}" for one in served],
        "memory, MB": [amount(one.memory_mb) for one in served],
    }
    columns = [Column(name, column) for name, column in cells.items() if set(column) != {"-"}]
    show(str(target), [Column("checkpoint", names, left=True), *columns])
    for name, one in zip(names, served, strict=True):
        if one.under_load is not None:
            print_text(f"{name} {one.under_load}")
