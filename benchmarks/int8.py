"""What int8 files are off by, with weights of 7 bits, as they are shipped, and of 8; and how fast they are.

    python -m secateur.benchmarks.int8 CHECKPOINT --task sst2 [--data GLUE_FOLDER] [--texts N] [--rounds 7] [--json]

CHECKPOINT is a model of that task. Its texts of the report split go through ONNX Runtime one by one, as they are
served, on one thread. `largest` and `rms` are differences of the outputs from the float32 file's, `changed` is the
share of texts whose largest output is another. `ms` of a text are medians of passes over the first 100, all in turn.

With 8 bits the answers depend on the processor: ONNX Runtime adds products in 16 bits where VNNI is missing. Such a one
can be had with `qemu-x86_64 -cpu Haswell PYTHON -m secateur.benchmarks.int8 ... --texts 200 --rounds 0`.
"""

from __future__ import annotations

import json as to_json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from ..cli.console import progress
from ..evaluation.latency import machine_name
from ..supernet.shipping.onnx import quantize_onnx, write_onnx
from ..supernet.shipping.session import OnnxModel
from ..supernet.stored.storage import load_model
from ..tasks.batches import Batch, collate
from .common import DataOption, JsonOption, in_turn, open_task, show

_TIMED = 100
_SETS = ("avx2", "avx512_f", "avx512_vnni", "avx_vnni", "amx_int8")


def main(
    checkpoint: Annotated[Path, typer.Argument(help="a folder with a model")],
    task: Annotated[str, typer.Option(help="of GLUE, with classes")],
    data: DataOption = None,
    texts: Annotated[int | None, typer.Option(min=1, help="the first so many; all if not given")] = None,
    rounds: Annotated[int, typer.Option(min=0, help="passes that are timed; 0 leaves times out")] = 7,
    json: JsonOption = False,
) -> None:
    """Quantise, compare, time, print."""
    opened = open_task(task, data)
    split = next(iter(opened.report.values()))
    # Without padding, which would take part in the scales of an int8 pass.
    rows = range(len(split))[:texts]
    batches = [collate(split, np.array([i]), opened.pad_token_id, length=int(split.lengths[i])) for i in rows]
    labels = torch.cat([batch.labels for batch in batches]).numpy()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_onnx(load_model(checkpoint), folder / "float32")
        quantize_onnx(folder / "float32", folder / "8 bits", bits=8)
        quantize_onnx(folder / "float32", folder / "7 bits", bits=7)
        models = {name: OnnxModel(folder / name, threads=1) for name in ("float32", "8 bits", "7 bits")}
    found = {name: _outputs(name, model, batches) for name, model in models.items()}
    values = {name: _compared(outputs, found["float32"], labels) for name, outputs in found.items()}
    shown = {"largest": ".3f", "rms": ".3f", "changed": ".1%", "accuracy": ".4f"}
    if rounds:
        shown["ms"] = ".2f"
        times = in_turn([_passes(model, batches[:_TIMED]) for model in models.values()], rounds, "times")
        for row, seconds in zip(values.values(), times, strict=True):
            row["ms"] = 1e3 * statistics.median(seconds) / len(batches[:_TIMED])
    sets = [name for name in _SETS if torch.cpu.get_capabilities().get(name)]
    if json:
        print(to_json.dumps({"machine": machine_name(), "sets": sets, "texts": len(batches), "files": values}))
        return
    cells = [(name, *(format(row[key], form) for key, form in shown.items())) for name, row in values.items()]
    show(f"{task}, {len(batches)} texts; {', '.join(sets)}", ("", *shown), cells)


def _passes(model: OnnxModel, batches: list[Batch]) -> Callable[[int], object]:
    return lambda turn: [model.outputs(batch) for batch in batches]


def _outputs(name: str, model: OnnxModel, batches: list[Batch]) -> NDArray[np.float32]:
    with progress(name) as tick:
        found = []
        for batch in batches:
            found.append(model.outputs(batch))
            tick(len(found), len(batches))
    return np.concatenate(found)


def _compared(found: NDArray[np.float32], expected: NDArray[np.float32], labels: NDArray) -> dict[str, float]:
    difference, answers = found - expected, found.argmax(axis=1)
    return {
        "largest": float(np.abs(difference).max()),
        "rms": float(np.sqrt((difference**2).mean())),
        "changed": float((answers != expected.argmax(axis=1)).mean()),
        "accuracy": float((answers == labels).mean()),
    }


if __name__ == "__main__":
    typer.run(main)
