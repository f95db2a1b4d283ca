"""The whole job on SST-2, from fine-tuning to the exported files, for a small model of each family.

    python -m secateur.benchmarks.whole_jobs [--data GLUE] [--only FAMILY] [--layers 3] [--threads 1] [--json]

A model of each family is made of MiniLM's embeddings and, where norms are behind blocks, its layers (`transplant.py`):
no published checkpoint is needed. It is fine-tuned, a ladder of half and a quarter of its encoder is made, its
subnetworks are searched with solved weights, and the rung of half is exported with ONNX and int8 files. Printed are
accuracies on the report split: of the whole model, the rungs, the best that the search found in half the encoder, and
the two files of the half; how many of the checkpoint's answers these files give, and CPU seconds of all. What is done
is kept in `--out`: a job that was killed goes on where it was, and is then charged its last attempt alone.
"""

from __future__ import annotations

import json as to_json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

from ..cli.console import progress
from ..errors import unknown_name
from ..evaluation.latency import INT8, machine_name
from ..evaluation.latency.runtime import ONNXRUNTIME, TORCH
from ..evaluation.model_error import file_outputs, model_outputs
from ..run.run import Run
from ..supernet.shipping.engines import ENGINES
from ..supernet.shipping.session import OnnxModel
from ..supernet.stored.storage import load_model
from ..tasks import demo_model_folder
from .common import DataOption, JsonOption, Known, show
from .transplant import LAYOUTS, write_transplanted

_SCORES = ("whole", "1/2", "1/4", "1/2 searched", "1/2 ONNX", "1/2 int8", "ONNX agrees", "int8 agrees")
_FILES = {"ONNX": ENGINES["onnxruntime"].file, "int8": ENGINES["onnxruntime"].int8_file}


def main(
    data: DataOption = None,
    only: Annotated[list[str] | None, typer.Option(help="families wanted; all if not given")] = None,
    rows: Annotated[int, typer.Option(min=64, help="training texts")] = 8000,
    layers: Annotated[int, typer.Option(min=1, max=6, help="of MiniLM's six, at equal distances")] = 3,
    epochs: Annotated[float, typer.Option(help="of fine-tuning")] = 1.0,
    rate: Annotated[float, typer.Option(help="of fine-tuning")] = 1e-4,
    steps: Annotated[int, typer.Option(min=1, help="of a rung of half the encoder")] = 30,
    budget: Annotated[int, typer.Option(min=1, help="points of the search")] = 12,
    threads: Annotated[int, typer.Option(min=1, help="of PyTorch")] = 1,
    out: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/whole-jobs"),
    json: JsonOption = False,
) -> None:
    """Do the job for each family, print."""
    torch.set_num_threads(threads)
    for name in only or ():
        if name not in LAYOUTS:
            raise unknown_name("family", name, LAYOUTS)
    known, names = Known(out / "done.jsonl"), list(only or LAYOUTS)
    job = Job(out, data, rows, layers, epochs, rate, steps, budget)
    found: dict[str, dict[str, float]] = {}
    with progress("families") as tick:
        for done, name in enumerate(names):
            tick(done, len(names), name)
            found[name] = known.find({"family": name, **job.settings}, lambda name=name: job.result(name))
        tick(len(names), len(names))
    if json:
        print(to_json.dumps({"machine": machine_name(), **job.settings, "families": found}))
        return
    lines = [(name, *(f"{100 * row[of]:.1f}" for of in _SCORES), f"{row['s']:.0f}") for name, row in found.items()]
    show(f"SST-2, {rows} training texts, accuracy x 100 on the report split", ("", *_SCORES, "CPU s"), lines)


@dataclass(frozen=True)
class Job:
    """What is done for each family.

    Attributes:
        out: where models and runs are.
        data: a folder with SST-2; the hub if None.
        rows: training texts.
        layers: of the model.
        epochs: of fine-tuning.
        rate: of fine-tuning.
        steps: of a rung of half the encoder.
        budget: of the search.
    """

    out: Path
    data: Path | None
    rows: int
    layers: int
    epochs: float
    rate: float
    steps: int
    budget: int

    @property
    def settings(self) -> dict[str, float]:
        """What results depend on."""
        return {name: value for name, value in vars(self).items() if name not in ("out", "data")}

    def result(self, family: str) -> dict[str, float]:
        """Do the job for a family; return scores, shares of answers that agree, and CPU seconds."""
        begin, folder = time.process_time(), self.out / "-".join([family, *map(str, self.settings.values())])
        if not (folder / "start" / "config.json").is_file():
            write_transplanted(family, demo_model_folder(), folder / "start", self.layers)
        project = {"task": "sst2", "data": self.data, "train_limit": self.rows}
        run = Run.create(folder / "run", model=str(folder / "start"), **project)
        run.finetune(epochs=self.epochs, learning_rate=self.rate)
        half, quarter = run.ladder(shares="1/2,1/4", steps=self.steps)
        run.search(weights="solved", budget=self.budget)
        searched = run.front(shares="1/2", weights="solved")[-1]
        exported = run.export(folder / "export", key=half.key, weights=half.weights, onnx=True, int8=True)
        whole, *_ = (row.score for row in exported.rows)
        scores = {row.runtime: row.score for row in exported.rows}  # the exported model's are the last ones
        found = {
            "whole": whole,
            "1/2": scores[TORCH],
            "1/4": 1 - _error(quarter.error_report),
            "1/2 searched": 1 - _error(searched.error_report),
            "1/2 ONNX": scores[ONNXRUNTIME],
            "1/2 int8": scores[INT8],
        }
        return {**found, **_agreements(run, folder / "export"), "s": time.process_time() - begin}


def _error(error: float | None) -> float:
    return float("nan") if error is None else error


def _agreements(run: Run, exported: Path) -> dict[str, float]:
    """Return for which share of the report split's texts files name the class that the checkpoint beside them does."""
    task = run.task()
    split = next(iter(task.report.values()))
    expected = model_outputs(load_model(exported), split, pad_token_id=task.pad_token_id).argmax(1)
    found = {
        name: file_outputs(OnnxModel(exported / file, threads=1), split, pad_token_id=task.pad_token_id).argmax(1)
        for name, file in _FILES.items()
    }
    return {f"{name} agrees": float((classes == expected).mean()) for name, classes in found.items()}


if __name__ == "__main__":
    typer.run(main)
