"""How well the latency table predicts: 30 extracted subnetworks measured end to end.

    python -m secateur.benchmarks.latency_table [--batch-size 1] [--sequence-length 128] [--threads 2] [--json]

Each subnetwork is timed in turn with one reference network, as the table's parts were, and the error is that of the
ratio: the speed of a shared machine drifts between making the table and measuring. `drift` is what the reference takes
now over what it took then; `median_error_with_drift` is the error of the plain milliseconds. Half of the subnetworks
are from `small`, half from `medium`, drawn uniformly in size; none was used to make the table.
"""

from __future__ import annotations

import time
from typing import Annotated

import numpy as np
import torch
import typer
from scipy.stats import kendalltau

from ..evaluation.latency import LatencyTarget, calibrate, machine_name
from ..evaluation.latency.table import Bench
from ..search_space import Medium, Small
from ..supernet import Supernet
from ..supernet.storage import load_model
from ..tasks import demo_model_folder
from .common import JsonOption, show, show_json


def main(
    batch_size: Annotated[int, typer.Option(help="texts per batch")] = 1,
    sequence_length: Annotated[int, typer.Option(help="tokens per text")] = 128,
    threads: Annotated[int | None, typer.Option(help="threads; all cores if not given")] = None,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16")] = "float32",
    subnets: Annotated[int, typer.Option(help="subnetworks to measure")] = 30,
    json: JsonOption = False,
) -> None:
    """Make a table, measure subnetworks, compare."""
    supernet = Supernet(load_model(demo_model_folder(), label_names=("no", "yes")).float())
    target = LatencyTarget(
        machine=machine_name(),
        threads=threads or torch.get_num_threads(),
        batch_size=batch_size,
        sequence_length=sequence_length,
        precision=precision,
    )
    begin = time.perf_counter()
    table = calibrate(supernet, target)
    took = time.perf_counter() - begin
    rng = np.random.default_rng(1)
    masks = [
        space.mask(x)
        for space, count in ((Small(supernet.shape), subnets // 2), (Medium(supernet.shape), subnets - subnets // 2))
        for x in space.sample_by_size(count, rng)
    ]
    bench = Bench(supernet, target)
    for mask in masks:
        bench.add(mask)
    measured = bench.milliseconds()
    predicted = np.array([table.predict(mask) for mask in masks])
    drift = bench.reference / table.reference
    errors = np.abs(drift * predicted / measured - 1)
    values = {
        "median_error": float(np.median(errors)),
        "worst_error": float(errors.max()),
        "median_error_with_drift": float(np.median(np.abs(predicted / measured - 1))),
        "drift": drift,
        "kendall_tau": float(np.asarray(kendalltau(predicted, measured))[0]),
        "calibration_seconds": took,
    }
    if json:
        show_json(values)
        return
    rows = [
        (str(mask).removeprefix("SubnetMask"), f"{m:.2f}", f"{p:.2f}", f"{e:.1%}")
        for mask, m, p, e in zip(masks, measured, predicted, errors, strict=True)
    ]
    show(f"latency in ms: {target}", ("subnetwork", "measured", "predicted", "error"), rows)
    print(", ".join(f"{name} {value:.3f}" for name, value in values.items()))


if __name__ == "__main__":
    typer.run(main)
