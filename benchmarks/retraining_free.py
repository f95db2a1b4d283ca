"""What each method without retraining leaves of a model, and what a refit and a short equal recovery bring back.

    python -m secateur.benchmarks.retraining_free RUN [RUN ...] [--densities 0.9,0.8,0.7,0.6,0.5,0.4] [--seeds 5]
        [--methods ...] [--recover 1] [--recover-rows 3000] [--recover-densities 0.8,0.6,0.4] [--recover-seeds 1]
        [--no-refit] [--pairs kcm:rank_magnitude,...] [--results FILE] [--json]

RUN is a run folder with a fine-tuned model. Every method prunes that model to each density, a share of the encoder's
parameters; the score is the task's metric on the report split, the mean and standard deviation over the seeds, which
decide what data a method draws (a method that draws none has one). Nothing is chosen by these scores. After `~` is the
same model refitted, its outgoing maps solved for anew on 512 texts without labels. Recovery, after `>`, is the same for
all: distillation of the model, not refitted, from the fine-tuned one for so many epochs over the same training texts.

A second table says by how many points one method of a pair is better than the other, draw by draw, with the 95 %
interval of Student's t over the draws; a method that draws nothing is the same in each.

What is done is kept in the file of `--results` and is not repeated; several processes may share it.
"""

from __future__ import annotations

import copy
import json as json_module
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.stats import t as student
from transformers import PreTrainedModel

from ..evaluation.model_error import model_error, model_outputs
from ..pruners import PRUNERS, make_pruner
from ..run.folder import RunFolder
from ..run.project import load_supernet, open_task
from ..run.ship.refit import whole_sums
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.refit import refit
from ..supernet.training.recovery import recover
from ..supernet.training.settings import RecoverySettings
from ..tasks import Task
from .common import JsonOption, show, some_rows

METHODS = tuple(name for name in PRUNERS if make_pruner(name).recovery != "native")
DRAW_NOTHING = ("rank_magnitude", "layer_drop_top", "layer_drop_bottom", "layer_drop_alternate")
WHOLE = "whole model"
REFIT = "refit"
CLAIMS = "mask_tuning:kcm,kcm:rank_magnitude,rank_magnitude:rank_random,rank_cam:rank_magnitude"
CLAIMS += ",rank_smooth:rank_magnitude,rank_fisher:mask_tuning,kprune:rank_fisher,ziplm:rank_fisher"


@dataclass(frozen=True)
class Cell:
    """One pruned model: which, and how well it does."""

    task: str
    method: str
    density: float
    seed: int
    recovery: str
    """What was done after pruning; empty for nothing, or REFIT."""
    score: float
    kept: float
    """The density that the model really has."""
    seconds: float
    """Of pruning, and of recovery where there was one."""


def main(
    runs: Annotated[list[Path], typer.Argument(help="run folders with a fine-tuned model")],
    densities: Annotated[str, typer.Option(help="comma-separated")] = "0.9,0.8,0.7,0.6,0.5,0.4",
    methods: Annotated[str, typer.Option(help="comma-separated")] = ",".join(METHODS),
    seeds: Annotated[int, typer.Option(min=1, help="draws of data")] = 5,
    recover: Annotated[float, typer.Option(help="epochs of recovery; 0 leaves it out")] = 1.0,
    recover_rows: Annotated[int, typer.Option(help="training texts of an epoch")] = 3000,
    recover_densities: Annotated[str, typer.Option(help="comma-separated")] = "0.8,0.6,0.4",
    recover_seeds: Annotated[int, typer.Option(min=1, help="of the draws, so many are recovered")] = 1,
    refitted: Annotated[bool, typer.Option("--refit/--no-refit", help="score each model after a refit, too")] = True,
    pairs: Annotated[str, typer.Option(help="of methods that are compared")] = CLAIMS,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/retraining_free.jsonl"),
    json: JsonOption = False,
) -> None:
    """Prune, score, recover, score, print."""
    folders = [RunFolder.open(run) for run in runs]
    wanted_methods = methods.split(",")
    results.parent.mkdir(parents=True, exist_ok=True)
    after = f"{recover:g} epochs of {recover_rows} texts"
    recovered = {float(d) for d in recover_densities.split(",")} if recover else set()
    for folder in folders:
        bench = _Bench(folder, recover, recover_rows)
        for seed in range(seeds):
            for method in wanted_methods:
                if seed and method in DRAW_NOTHING:
                    continue
                pruner, rest = None, _rest(read(results), bench.task.name, method, seed, after)
                for density in map(float, densities.split(",")):
                    stages = ["", *([REFIT] if refitted else [])]
                    stages += [after] if density in recovered and seed < recover_seeds else []
                    if all((density, stage) in rest for stage in stages):
                        continue
                    pruner = pruner or make_pruner(method)
                    if density < pruner.floor(bench.supernet):
                        continue
                    cells = bench.cells(pruner, density, seed, stages)
                    with results.open("a") as file:
                        file.writelines(json_module.dumps(vars(cell)) + "\n" for cell in cells)
    known = [cell for cell in read(results) if cell.recovery in ("", REFIT, after)]
    summary = {folder.project.task: summarise(known, folder.project.task, wanted_methods) for folder in folders}
    if json:
        print(json_module.dumps(summary))
        return
    for folder in folders:
        rows = summary[folder.project.task]
        whole = _Bench(folder, 0.0, 0).whole_score()
        header = ("", *(f"{float(d):g}" for d in densities.split(",")), "s")
        lines = [(name, *_texts(found, densities.split(","), after), f"{found['seconds']:.0f}") for name, found in rows]
        title = f"{folder.project.task}: {folder.record['facts']['metric']} x 100, whole model {100 * whole:.1f}"
        show(f"{title}; as cut, ~ refitted, > after {after}", header, lines)
        compared = [tuple(pair.split(":")) for pair in pairs.split(",") if pair]
        lines = [(f"{one} - {other}", *_differences(dict(rows), one, other, header[1:-1])) for one, other in compared]
        show(f"{folder.project.task}: points better, as cut, ~ refitted, 95 % over the draws", header[:-1], lines)


class _Bench:
    """A run's fine-tuned model, pruned again and again."""

    def __init__(self, folder: RunFolder, epochs: float, rows: int) -> None:
        self._seed = folder.project.seed
        self.task = open_task(folder)
        self.supernet: Supernet = load_supernet(folder.finetuned)
        self._settings = RecoverySettings(epochs=epochs or 1.0)
        self._after = f"{epochs:g} epochs of {rows} texts"
        self._short = replace(self.task, train=some_rows(self.task.train, rows, 0)) if rows else None
        self._dtype = resolve_precision("auto", self.supernet.device)
        self._teacher: np.ndarray | None = None

    def whole_score(self) -> float:
        """Return the fine-tuned model's own score."""
        return self._score(self.supernet.model)

    def cells(self, pruner: Any, density: float, seed: int, stages: list[str]) -> Iterator[Cell]:
        """Prune once, and yield the scores after each of the stages."""
        pruned = pruner.prune(self.supernet, self.task, density, np.random.default_rng([seed, 5]))
        for stage in stages:
            begin = time.perf_counter()
            model = copy.deepcopy(pruned.model)
            if stage == REFIT:
                refit(model, pruned.mask, whole_sums(self.supernet, self.task, self._seed))
            elif stage:
                self._recover(model)
            seconds = time.perf_counter() - begin if stage else pruned.provenance.seconds
            score = self._score(model)
            yield Cell(self.task.name, pruner.name, density, seed, stage, score, pruned.density, seconds)

    def _recover(self, model: PreTrainedModel) -> None:
        short = self._short
        assert short is not None
        if self._teacher is None:
            self._teacher = model_outputs(
                self.supernet.model, short.train, pad_token_id=short.pad_token_id, dtype=self._dtype
            )
        recover(model, short, self._teacher, self._settings, seed=0)
        model.eval()

    def _score(self, model: PreTrainedModel) -> float:
        task: Task = self.task
        split = next(iter(task.report.values()))
        return 1 - model_error(model, split, task.metric, pad_token_id=task.pad_token_id, dtype=self._dtype)


def read(path: Path) -> list[Cell]:
    """Return what is done; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Cell(**json_module.loads(line)) for line in lines if line.endswith("\n")]


def _rest(cells: list[Cell], task: str, method: str, seed: int, after: str) -> set[tuple[float, str]]:
    return {
        (cell.density, cell.recovery)
        for cell in cells
        if (cell.task, cell.method, cell.seed) == (task, method, seed) and cell.recovery in ("", REFIT, after)
    }


def summarise(cells: list[Cell], task: str, methods: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return each method's scores by density and recovery, over the seeds, and its median seconds of pruning."""
    rows = []
    for method in methods:
        mine = [cell for cell in cells if (cell.task, cell.method) == (task, method)]
        scores: dict[str, list[float]] = {}
        for cell in sorted(mine, key=lambda c: (-c.density, c.recovery, c.seed)):
            scores.setdefault(f"{cell.density:g} {cell.recovery}".strip(), []).append(cell.score)
        seconds = [cell.seconds for cell in mine if not cell.recovery]
        rows.append((method, {"scores": scores, "seconds": statistics.median(seconds) if seconds else 0.0}))
    return rows


def _texts(found: dict[str, Any], densities: list[str], after: str) -> list[str]:
    texts = []
    for density in (f"{float(d):g}" for d in densities):
        before, refitted, recovered = (found["scores"].get(f"{density} {of}".strip(), []) for of in ("", REFIT, after))
        text = f"{100 * statistics.mean(before):.1f}" if before else "-"
        if len(before) > 1:
            text += f"±{100 * statistics.stdev(before):.1f}"
        text += f" ~ {100 * statistics.mean(refitted):.1f}" if refitted else ""
        texts.append(text + (f" > {100 * statistics.mean(recovered):.1f}" if recovered else ""))
    return texts


def _differences(rows: dict[str, Any], one: str, other: str, densities: Sequence[str]) -> list[str]:
    return [" ~ ".join(_difference(rows, one, other, f"{d} {of}".strip()) for of in ("", REFIT)) for d in densities]


def _difference(rows: dict[str, Any], one: str, other: str, column: str) -> str:
    """Say by how many points a method is better than another, with Student's interval where there are several draws."""
    both = [rows[name]["scores"].get(column, []) if name in rows else [] for name in (one, other)]
    if not all(both) or len({len(some) for some in both} - {1}) > 1:  # one of them is not done yet
        return "-"
    found = 100 * np.subtract(*np.broadcast_arrays(*map(np.array, both)))
    if len(found) < 2:
        return f"{found.mean():+.1f}"
    half = student.ppf(0.975, len(found) - 1) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():+.1f} ({found.mean() - half:+.1f} to {found.mean() + half:+.1f})"


if __name__ == "__main__":
    typer.run(main)
