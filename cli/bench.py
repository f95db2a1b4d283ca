"""`secateur bench`: checkpoints side by side, as they would be served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from ..errors import InputError, unknown_name
from ..evaluation.bench import Served, check_positions, load_any, serve, sizes_of
from ..evaluation.latency import RUNTIMES, LatencyTarget, busy, machine_name
from .console import print_json, progress, say
from .settings import BenchCommand
from .tables import Column, amount, between, show

_PRECISIONS = {"float32": "float32", "fp32": "float32", "bfloat16": "bfloat16", "bf16": "bfloat16"}

Row = tuple[LatencyTarget, list[Served], float]  # the last is the spread of the first checkpoint's time


def bench(settings: BenchCommand) -> None:
    """Measure latency, throughput and memory of checkpoints, in turn with one another."""
    targets = _targets(settings)
    models = [load_any(name) for name in settings.checkpoints]
    for name, model in zip(settings.checkpoints, models, strict=True):
        check_positions(name, model, settings.sequence_length)
    rows: list[Row] = []
    with progress("bench") as tick:
        for done, target in enumerate(targets):
            tick(done, len(targets), f"{target.runtime}, batch {target.batch_size}, {target.precision}")
            rows.append((target, *serve(models, target, seconds=settings.seconds, memory=settings.memory)))
        tick(len(targets), len(targets))
    sizes = [sizes_of(name, model) for name, model in zip(settings.checkpoints, models, strict=True)]
    if settings.as_json:
        print_json([fact for row in rows for fact in _facts(settings.checkpoints, row, sizes)])
    else:
        for row in rows:
            _show(settings.checkpoints, row, sizes)
    for target, _, spread in rows:
        if warning := busy(spread):
            say(f"warning: {target.runtime}, batch {target.batch_size}: {warning}")


def _targets(settings: BenchCommand) -> list[LatencyTarget]:
    """Return all ways of serving that were asked for.

    Raises:
        InputError: no such runtime or precision, or no such device here.
    """
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device is cuda, but PyTorch finds no CUDA device here; give cpu")
    device = settings.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    runtimes = _chosen("runtime", settings.runtime, RUNTIMES)
    precisions = [_PRECISIONS[name] for name in _chosen("precision", settings.precision, _PRECISIONS)]
    ways = [
        {"runtime": name, "device": device, "precision": precision, **RUNTIMES[name].restricts}
        for name in runtimes
        for precision in (["float32"] if RUNTIMES[name].restricts else precisions)
    ]
    return [
        LatencyTarget(
            machine=machine_name(way["device"]),
            threads=settings.threads or torch.get_num_threads(),
            batch_size=batch_size,
            sequence_length=settings.sequence_length,
            device=way["device"],
            precision=way["precision"],
            runtime=way["runtime"],
        )
        for batch_size in _batch_sizes(settings.batch_size)
        for way in ways
    ]


def _chosen(what: str, text: str, known: Iterable[str]) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise unknown_name(what, name, known)
    return names


def _batch_sizes(text: str) -> list[int]:
    try:
        sizes = [int(size) for size in text.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise InputError(f"--batch-size is one or several numbers of texts, comma-separated, got {text!r}; give 1,32")
    return sizes


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
