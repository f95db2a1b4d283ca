"""How well the latency table predicts: extracted subnetworks measured end to end, for several targets.

    python -m secateur.benchmarks.latency_table [--batch-sizes 1,32] [--lengths 32,128] [--threads 1,2] [--json]

For each combination a table is calibrated as `secateur latency` does it; then subnetworks that were not used for it
are measured, in turn with the same reference network as the table's were, and the error is that of the ratio: the
speed of a shared machine drifts between making the table and measuring. `drift` is what the reference takes now over
what it took then; `median_error_with_drift` is the error of the plain milliseconds. Half of the subnetworks are from
`small`, half from `medium`, spread over all sizes.
"""

from __future__ import annotations

import itertools
import json as to_json
from typing import Annotated

import numpy as np
import typer

from ..evaluation.latency import Bench, LatencyTarget, calibrate, machine_name
from ..evaluation.latency.calibration import rank_correlation, reference_mask, spread_over_sizes
from ..search_space import Medium, Small, SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.stored.storage import load_model
from ..tasks import demo_model_folder
from .common import JsonOption, show

_GROUP = 3


def main(
    batch_sizes: Annotated[str, typer.Option(help="texts per batch, separated by commas")] = "1,32",
    lengths: Annotated[str, typer.Option(help="tokens per text")] = "32,128",
    threads: Annotated[str, typer.Option(help="threads")] = "1,2",
    precision: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    subnets: Annotated[int, typer.Option(help="subnetworks to measure for each")] = 20,
    seconds: Annotated[float, typer.Option(help="of each calibration, and about as long of measuring after it")] = 50.0,
    json: JsonOption = False,
) -> None:
    """Make tables, measure subnetworks, compare."""
    supernet = Supernet(load_model(demo_model_folder(), label_names=("no", "yes")).float())
    found: dict[str, dict[str, float]] = {}
    choices = [[int(n) for n in text.split(",")] for text in (batch_sizes, lengths, threads)]
    for batch_size, length, count in itertools.product(*choices):
        target = LatencyTarget(
            machine=machine_name(),
            threads=count,
            batch_size=batch_size,
            sequence_length=length,
            precision=precision,
        )
        found[target.name] = compare(supernet, target, subnets, seconds)
    if json:
        print(to_json.dumps(found))
        return
    names = list(next(iter(found.values())))
    rows = [(name, *(f"{values[n]:.3f}" for n in names)) for name, values in found.items()]
    show("latency tables against measurements of other subnetworks", ("target", *names), rows)


def compare(supernet: Supernet, target: LatencyTarget, subnets: int, seconds: float) -> dict[str, float]:
    """Calibrate for a target and measure subnetworks that the calibration did not see."""
    table = calibrate(supernet, target, seconds=seconds)
    assert table.accuracy is not None
    masks = _others(supernet, subnets)
    bench = Bench(extract(supernet.model, reference_mask(supernet.shape)), target)
    for start in range(0, len(masks), _GROUP):
        group = masks[start : start + _GROUP]
        bench.add(*(extract(supernet.model, mask) for mask in group), seconds=seconds * len(group) / len(masks))
    measured = np.array([bench.latency(place).median for place in range(len(masks))])
    predicted = np.array([table.predict(mask) for mask in masks])
    drift = bench.reference / table.reference
    errors = np.abs(drift * predicted / measured - 1)
    return {
        "median_error": float(np.median(errors)),
        "worst_error": float(errors.max()),
        "kendall_tau": rank_correlation(predicted, measured),
        "median_error_with_drift": float(np.median(np.abs(predicted / measured - 1))),
        "drift": drift,
        "spread": max(bench.spread, table.accuracy.spread),
        "held_out_error": table.error,
        "calibration_seconds": table.accuracy.seconds,
    }


def _others(supernet: Supernet, count: int) -> list[SubnetMask]:
    rng = np.random.default_rng(1)
    halves = ((Small(supernet.shape), count // 2), (Medium(supernet.shape), count - count // 2))
    return [mask for space, half in halves for mask in spread_over_sizes(space, half, rng)]


if __name__ == "__main__":
    typer.run(main)
