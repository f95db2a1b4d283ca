"""Evaluate every point of a `small` space, once: a benchmark for searchers whose front is known.

    python -m secateur.benchmarks.tabulate RUN --to benchmarks/tables/sst2.parquet

RUN is a run folder whose supernet was trained for `small`. All depths and heads, neurons in steps of 32: MiniLM has
4,032 points, which take 576 passes over each split, some minutes. A row is a point: `layers`, `heads`, `neurons`,
`error` (selection split), `error_report`, `parameters`, `encoder_parameters`, `macs` and `latency_ms` (of the run's
latency table). Interrupted, the same command goes on; what is done lies in RUN/table.db.
"""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from ..cli.console import progress, say
from ..evaluation.archive import Archive
from ..evaluation.evaluation import REPORT, SELECTION, Evaluation
from ..evaluation.evaluator import Evaluator
from ..evaluation.objectives import ERROR
from ..run.evaluators import make_evaluator
from ..run.folder import RunFolder, file_digest
from ..run.latency import searched_latency_table
from ..run.project import open_supernet, open_task
from ..run.settings.search import SearchSettings
from ..search_space import SearchSpace


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a supernet of the space `small`")],
    to: Annotated[Path, typer.Option(help="the parquet file to write")],
    step: Annotated[int, typer.Option(min=1, help="neurons between two points")] = 32,
) -> None:
    """Evaluate all points on both splits and write the table."""
    folder = RunFolder.open(run)
    task = open_task(folder)
    supernet, space = open_supernet(folder)
    settings = SearchSettings.model_validate(folder.settings("search"))
    table = searched_latency_table(folder)
    grid = grid_of(space, step)
    with Archive(folder.path / "table.db") as archive:
        values: dict[str, dict[str, dict[str, float]]] = {}
        for split, data in ((SELECTION, {SELECTION: task.selection}), (REPORT, task.report)):
            known = {one.key: one.values for one in archive.evaluations(split=split)}
            evaluator = make_evaluator(supernet, task, data, table, settings, known)
            values[split] = _evaluated(archive, evaluator, space, grid, split)
    rows = []
    for x in grid:
        key = space.mask(x).key
        found = {**values[SELECTION][key], f"{ERROR}_report": values[REPORT][key][ERROR]}
        rows.append({**dict(zip(space.labels, x.tolist(), strict=True)), **found})
    described = {
        "task": folder.project.task,
        "supernet": file_digest(folder.supernet / "model.safetensors"),
        "latency": str(table.target),
        "precision": settings.precision,
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows).replace_schema_metadata(described), to, compression="zstd")
    say(f"{len(rows)} points of {folder.path} are in {to}")


def grid_of(space: SearchSpace, step: int) -> np.ndarray:
    """Return `(n, 3)` points: all numbers of layers and heads, neurons in steps, deepest networks first."""
    layers, heads, neurons = (int(n) for n in space.upper)
    return np.array(list(product(range(layers, -1, -1), range(1, heads + 1), range(step, neurons + 1, step))))


def _evaluated(
    archive: Archive, evaluator: Evaluator, space: SearchSpace, grid: np.ndarray, split: str
) -> dict[str, dict[str, float]]:
    """Evaluate the deepest points, whose passes give all others; return values by key."""
    deepest = grid[grid[:, 0] == grid[:, 0].max()]
    with progress(f"{split} split") as tick:
        for done, x in enumerate(deepest):
            begin = time.perf_counter()
            found = evaluator(space.mask(x))
            archive.add(
                [
                    Evaluation(
                        key=one.mask.key,
                        mask=one.mask,
                        x=None,
                        space=space.name,
                        method="grid",
                        seed=0,
                        split=split,
                        values=one.values,
                        seconds=(time.perf_counter() - begin) / len(found),
                        asked=one.asked,
                    )
                    for one in found
                ]
            )
            tick(done + 1, len(deepest))
    return {one.key: one.values for one in archive.evaluations(split=split)}


if __name__ == "__main__":
    typer.run(main)
