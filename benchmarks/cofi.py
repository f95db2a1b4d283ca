"""What CoFi's models score, how much faster than the whole one they run, and what each training took.

    python -m secateur.benchmarks.cofi RUN [RUN ...] [--densities 0.6,0.4,0.2,0.1,0.05] [--seeds 1] [--rows N]
        [--distillation layers,predictions,none] [--matching ordered] [--distil-epochs E] [--epochs E]
        [--final-epochs E] [--least-steps N] [--learning-rate R] [--rewind] [--threads N] [--precision float32]
        [--rounds 8] [--results DIR] [--json]

RUN is a run folder with a fine-tuned model. For each density, distillation and seed one training; the score is the
task's metric on the report split, the mean and standard deviation over the seeds. A speed-up is the whole model's time
over a model's, both measured in turn: batches of 32 texts of 128 tokens, and batches of 32 texts as long as the task's
report split has them.

Models, scores and resume points are kept in the folder of `--results`: what is done is not repeated, and a training
that was killed goes on. Speed-ups are measured anew each time, of the first seed's models; 0 rounds leave them out.
"""

from __future__ import annotations

import itertools
import json as json_module
import shutil
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from transformers import PreTrainedModel

from ..evaluation.latency.measure import Bench
from ..evaluation.latency.target import TASK, LatencyTarget, busy, machine_name, padded_lengths
from ..evaluation.model_error import model_error
from ..pruners.cofi.pruner import CoFi
from ..pruners.cofi.settings import CoFiSettings
from ..run.folder import RunFolder, file_digest
from ..run.project import load_supernet, open_task, start_model
from ..supernet.precision import resolve_precision
from ..supernet.stored.storage import load_model, load_tokenizer, save_model
from ..supernet.training.supernet_training import Progress
from .common import JsonOption, console, show, some_rows

BATCH, LENGTH = 32, 128
_DEFAULT = CoFiSettings()


@dataclass(frozen=True)
class Cell:
    """One training.

    Attributes:
        basis: what is equal for all that are compared: task, weights, texts, settings.
        distillation: what was distilled.
        density, seed: what was asked for.
        kept: the density that the model has.
        score: on the report split.
        selection: on the selection split.
        seconds: of the training, killed attempts not counted.
        model: its folder's name.
    """

    basis: str
    distillation: str
    density: float
    seed: int
    kept: float
    score: float
    selection: float
    seconds: float
    model: str


def main(
    runs: Annotated[list[Path], typer.Argument(help="run folders with a fine-tuned model")],
    densities: Annotated[str, typer.Option(help="comma-separated")] = "0.6,0.4,0.2,0.1,0.05",
    seeds: Annotated[int, typer.Option(min=1, help="of texts, masks and training")] = 1,
    rows: Annotated[int | None, typer.Option(help="training texts, drawn by the seed; all if not given")] = None,
    distillation: Annotated[str, typer.Option(help="comma-separated: layers, predictions, none")] = "layers",
    matching: Annotated[str, typer.Option(help="free or ordered")] = _DEFAULT.matching,
    distil_epochs: Annotated[float, typer.Option(help="before masks")] = _DEFAULT.distil_epochs,
    epochs: Annotated[float, typer.Option(help="with masks")] = _DEFAULT.epochs,
    final_epochs: Annotated[float, typer.Option(help="of what is left")] = _DEFAULT.final_epochs,
    least_steps: Annotated[int, typer.Option(help="of a training")] = _DEFAULT.least_steps,
    learning_rate: Annotated[float, typer.Option(help="peak rate")] = _DEFAULT.learning_rate,
    rewind: Annotated[bool, typer.Option(help="train the weights the run began with")] = False,
    threads: Annotated[int, typer.Option(help="of the models that are timed")] = torch.get_num_threads(),
    precision: Annotated[str, typer.Option(help="of the models that are timed")] = "float32",
    rounds: Annotated[int, typer.Option(help="of timing; 0 leaves it out")] = 8,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/cofi"),
    json: JsonOption = False,
) -> None:
    """Prune, score, time, print."""
    settings = CoFiSettings.model_validate(
        {
            "matching": matching,
            "distil_epochs": distil_epochs,
            "epochs": epochs,
            "final_epochs": final_epochs,
            "least_steps": least_steps,
            "learning_rate": learning_rate,
        }
    )
    ways, wanted = distillation.split(","), [float(density) for density in densities.split(",")]
    summaries: dict[str, dict[str, Any]] = {}
    for run in runs:
        bench = _Bench(RunFolder.open(run), settings, rows, results, rewind=rewind)
        for seed, way, density in itertools.product(range(seeds), ways, wanted):
            bench.train(way, density, seed)
        models = {(way, density): bench.find(way, density, 0) for way in ways for density in wanted}
        faster = bench.speedups(models.values(), threads, precision, rounds) if rounds else {}
        lines = []
        for (way, density), first in models.items():
            cells = [bench.find(way, density, seed) for seed in range(seeds)]
            lines.append(_summary(cells, faster.get(first.model, {})))
        summaries[bench.task.name] = {"whole": bench.whole_score(), "models": lines}
        if not json:
            _print(bench, summaries[bench.task.name], rows, seeds)
    if json:
        print(json_module.dumps(summaries))


class _Bench:
    """A run's fine-tuned model, pruned again and again."""

    def __init__(
        self, folder: RunFolder, settings: CoFiSettings, rows: int | None, results: Path, *, rewind: bool
    ) -> None:
        self._folder, self._settings, self._rows, self._results = folder, settings, rows, results
        self._rewind = rewind
        self.task = open_task(folder)
        self.supernet = load_supernet(folder.finetuned)
        weights = file_digest(folder.finetuned / "model.safetensors")[:12]
        recipe = settings.model_dump_json(exclude={"save_seconds", "distillation"})
        self._basis = f"{self.task.name} {weights} rows={rows} rewind={rewind} {recipe}"
        self._file = results / "cells.jsonl"

    def train(self, distillation: str, density: float, seed: int) -> None:
        """Train and keep a model that is not there."""
        if any(self._is(cell, distillation, density, seed) for cell in self._read()):
            return
        name = f"{self.task.name}-{distillation}-{density:g}-{seed}-{sha256(self._basis.encode()).hexdigest()[:8]}"
        state = self._results / "state" / name
        task = (
            self.task if self._rows is None else replace(self.task, train=some_rows(self.task.train, self._rows, seed))
        )
        settings = CoFiSettings.model_validate({**self._settings.model_dump(), "distillation": distillation})

        def report(step: Progress) -> None:
            if not step.done % 100:
                console.print(f"{name}: step {step.done} of {step.total}, loss {step.loss:.3f}, {step.note}")

        start = start_model(self._folder, self.task) if self._rewind else None
        pruner = CoFi(settings, rewind=start, state=state, report=report)
        pruned = pruner.prune(self.supernet, task, density, np.random.default_rng([seed, 5]))
        tokenizer = load_tokenizer(self._folder.finetuned)
        save_model(pruned.model, tokenizer, self._results / "models" / name, card=f"{name}\n")
        score, selection = self._score(pruned.model), self._score(pruned.model, selection=True)
        seconds = pruned.provenance.seconds
        cell = Cell(self._basis, distillation, density, seed, pruned.density, score, selection, seconds, name)
        with self._file.open("a") as file:
            file.write(json_module.dumps(asdict(cell)) + "\n")
        shutil.rmtree(state, ignore_errors=True)

    def find(self, distillation: str, density: float, seed: int) -> Cell:
        """Return what was trained."""
        return next(cell for cell in self._read() if self._is(cell, distillation, density, seed))

    def whole_score(self) -> float:
        """Return the fine-tuned model's own score."""
        return self._score(self.supernet.model)

    def speedups(self, cells: Iterable[Cell], threads: int, precision: str, rounds: int) -> dict[str, dict[str, float]]:
        """Return how many times faster than the whole one each model is, by name, for both kinds of batches."""
        names = [cell.model for cell in cells]
        models = [load_model(self._results / "models" / name) for name in names]
        found: dict[str, dict[str, float]] = {name: {} for name in names}
        lengths = padded_lengths(next(iter(self.task.report.values())).lengths, BATCH)
        for kind, options in (("fixed", {"sequence_length": LENGTH}), ("task", {"lengths": lengths})):
            target = LatencyTarget.model_validate(
                {"machine": machine_name(), "threads": threads, "batch_size": BATCH, "precision": precision}
                | {"sequence_length": TASK, **options}
            )
            bench = Bench(load_supernet(self._folder.finetuned).model, target)
            places = bench.add(*models, seconds=float("inf"), rounds=rounds)
            for name, place in zip(names, places, strict=True):
                found[name][kind] = bench.reference / bench.latency(place).median
            if warning := busy(bench.spread):
                console.print(warning)
        return found

    def _score(self, model: PreTrainedModel, *, selection: bool = False) -> float:
        task, dtype = self.task, resolve_precision("auto", model.device)
        split = task.selection if selection else next(iter(task.report.values()))
        return 1 - model_error(model, split, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)

    def _read(self) -> list[Cell]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        lines = self._file.read_text().splitlines(keepends=True) if self._file.exists() else []
        return [Cell(**json_module.loads(line)) for line in lines if line.endswith("\n")]  # a kill may cut the last

    def _is(self, cell: Cell, distillation: str, density: float, seed: int) -> bool:
        asked = (self._basis, distillation, density, seed)
        return (cell.basis, cell.distillation, cell.density, cell.seed) == asked


def _summary(cells: list[Cell], faster: dict[str, float]) -> dict[str, Any]:
    first = cells[0]
    return {
        "distillation": first.distillation,
        "density": first.density,
        "kept": statistics.mean(cell.kept for cell in cells),
        "scores": [cell.score for cell in cells],
        "selection": [cell.selection for cell in cells],
        "seconds": statistics.median(cell.seconds for cell in cells),
        **{f"speedup_{kind}": value for kind, value in faster.items()},
    }


def _print(bench: _Bench, summary: dict[str, Any], rows: int | None, seeds: int) -> None:
    kinds = {"fixed": f"{BATCH} x {LENGTH}", "task": f"{BATCH} x the task's"}
    header = (
        "distilled",
        "density",
        "kept",
        "score",
        "selection",
        *(f"speed-up, {text}" for text in kinds.values()),
        "s",
    )
    lines = [
        (
            line["distillation"],
            f"{line['density']:g}",
            f"{line['kept']:.4f}",
            _mean(line["scores"]),
            _mean(line["selection"]),
            *(f"{line[f'speedup_{kind}']:.2f}" if f"speedup_{kind}" in line else "" for kind in kinds),
            f"{line['seconds']:.0f}",
        )
        for line in summary["models"]
    ]
    texts = f"{rows or len(bench.task.train)} texts, {seeds} seeds"
    show(
        f"{bench.task.name}, {texts}: {bench.task.metric.name} x 100, whole {100 * summary['whole']:.1f}", header, lines
    )


def _mean(values: list[float]) -> str:
    spread = f" ± {100 * statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.1f}{spread}"


if __name__ == "__main__":
    typer.run(main)
