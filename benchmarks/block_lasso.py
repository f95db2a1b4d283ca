"""Block-structured pruning by a reweighted group Lasso: score, what is stored, and how fast each form runs.

    python -m secateur.benchmarks.block_lasso RUN [--compressions 1.43,2,3.3,5] [--seeds 1] [--rows 0] [--epochs 3]
        [--retraining-epochs 3] [--least-steps 3000] [--learning-rate 1e-4] [--penalty 40] [--scheme row]
        [--width N] [--selection matrix] [--on-extracted FOLDER] [--threads 1] [--precision float32]
        [--no-training] [--no-timing] [--results FILE] [--json]

RUN is a run folder with a fine-tuned model. For each seed it is trained under the penalty once; for each compression,
groups are removed from those weights and the others are trained again. A compression is the inverse of the share of
groups that stay in the matrices of the encoder's layers; the paper also counts the head's. The score is the task's
metric on the report split; nothing is chosen by it. The row `1` removes nothing and is trained as long, for the score
that this training reaches at all. Stored is what the whole model takes on disk over what it took before.

Speed-ups are over the model before pruning, in turn with it, for batches of 32: at 128 tokens, and at what batches of
the task's own texts are padded to. They are measured without training, on that model less its weakest groups: a form's
time depends on how many groups of a matrix stay.

With `--on-extracted`, all is done to that model (of `secateur extract RUN --to FOLDER`) instead of the whole one: how
much further a subnetwork is compressed at an equal score.

What is done is kept in the file of `--results` and is not repeated; a training that was killed goes on.
"""

from __future__ import annotations

import copy
import hashlib
import json as json_module
import shutil
import statistics
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from transformers import PreTrainedModel

from ..evaluation.latency import LatencyTarget, busy, machine_name, padded_lengths
from ..evaluation.latency.target import TASK
from ..evaluation.model_error import model_error
from ..pruners.block_lasso.fastest import fastest
from ..pruners.block_lasso.groups import cut, kept_groups
from ..pruners.block_lasso.pruner import BlockLasso
from ..pruners.block_lasso.settings import BlockLassoSettings
from ..run.folder import RunFolder, file_digest
from ..run.project import open_task
from ..supernet import Supernet
from ..supernet.packed.packed import FORMS, mark_slabs
from ..supernet.packed.packed_storage import compression, stored_bytes
from ..supernet.precision import resolve_precision
from ..supernet.stored.storage import load_model
from ..tasks import Task
from .common import JsonOption, Known, console, show, some_rows

Cell = dict[str, float]


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    compressions: Annotated[str, typer.Option(help="all groups over those that stay")] = "1.43,2,3.3,5",
    seeds: Annotated[int, typer.Option(min=1, help="of texts and training")] = 1,
    rows: Annotated[int, typer.Option(help="training texts, drawn by the seed; 0 for all")] = 0,
    epochs: Annotated[float, typer.Option(help="passes under the penalty")] = 3.0,
    retraining_epochs: Annotated[float, typer.Option(help="passes to train what stays")] = 3.0,
    least_steps: Annotated[int, typer.Option(help="of either training")] = BlockLassoSettings().least_steps,
    learning_rate: Annotated[float, typer.Option(help="peak rate of both trainings")] = 1e-4,
    penalty: Annotated[float, typer.Option(help="its value whenever it is reweighted")] = 40.0,
    scheme: Annotated[str, typer.Option(help="row or column")] = "row",
    width: Annotated[int | None, typer.Option(help="weights of a group")] = None,
    selection: Annotated[str, typer.Option(help="matrix or global")] = "matrix",
    on_extracted: Annotated[Path | None, typer.Option(help="an extracted model's folder, pruned instead")] = None,
    threads: Annotated[int, typer.Option(help="of the measured passes")] = 1,
    precision: Annotated[str, typer.Option(help="of the measured passes")] = "float32",
    training: Annotated[bool, typer.Option(help="prune, train and score")] = True,
    timing: Annotated[bool, typer.Option(help="measure the forms")] = True,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/block_lasso.jsonl"),
    json: JsonOption = False,
) -> None:
    """Prune, train, evaluate, time, print."""
    folder = RunFolder.open(run)
    source = on_extracted or folder.finetuned
    recipe = {"epochs": epochs, "retraining_epochs": retraining_epochs, "learning_rate": learning_rate}
    recipe["least_steps"] = least_steps
    groups = {"scheme": scheme, "width": width, "selection": selection}
    settings = BlockLassoSettings.model_validate({**recipe, **groups, "penalty": penalty})
    basis = f"{folder.project.task} {file_digest(source / 'model.safetensors')[:12]} {groups}"
    trained, timed = f"{basis} {recipe} {penalty=:g} {rows=}", f"{basis} {machine_name()} {threads=} {precision}"
    state = results.with_suffix("") / hashlib.sha256(trained.encode()).hexdigest()[:12]
    trial = Trial(load_model(source).float(), open_task(folder), settings, rows, state)
    known, factors = Known(results), [float(c) for c in compressions.split(",")]
    scores = {
        c: [
            known.find({"basis": trained, "name": "score", "c": c, "seed": seed}, partial(trial.score, c, seed))
            for seed in range(seeds)
        ]
        for c in ([1.0, *factors] if training else [])
    }
    targets = trial.targets(threads, precision) if timing else {}
    speeds = {
        (c, name): known.find({"basis": timed, "name": name, "c": c, "seed": 0}, partial(trial.speed, c, target))
        for c in factors
        for name, target in targets.items()
    }
    if json:
        by_name = {f"{c:g}, {name}": one for (c, name), one in speeds.items()}
        print(json_module.dumps({"scores": {f"{c:g}": found for c, found in scores.items()}, "speeds": by_name}))
        return
    if scores:
        header = ("compression", "score", "as the paper counts", "stored", "seconds")
        show(f"{trained}, {seeds} seeds: score on the report split", header, list(map(_line, *zip(*scores.items()))))
    if speeds:
        lines = [(f"{c:g}", name, *(_times(one, form) for form in FORMS)) for (c, name), one in speeds.items()]
        show(f"{timed}: times as fast, batches of 32", ("compression", "at", *FORMS), lines)
        warning = busy(max(one["spread"] for one in speeds.values()))
        if warning:
            console.print(warning)


def _line(factor: float, found: list[Cell]) -> tuple[str, ...]:
    points = [100 * one["score"] for one in found]
    spread = f" ± {statistics.stdev(points):.1f}" if len(points) > 1 else ""
    counted, stored, seconds = (
        statistics.mean(one[name] for one in found) for name in ("counted", "stored", "seconds")
    )
    score = f"{statistics.mean(points):.1f}{spread}"
    return f"{factor:g}", score, f"{counted:.2f}", f"{stored:.3f}", f"{seconds:.0f}"


def _times(found: Cell, form: str) -> str:
    return f"{found[form]:.2f}" if form in found else "does not run"


class Trial:
    """A model, pruned again and again."""

    def __init__(
        self, model: PreTrainedModel, task: Task, settings: BlockLassoSettings, rows: int, state: Path
    ) -> None:
        self._model, self._task, self._settings, self._rows, self._state = model, task, settings, rows, state
        self._dtype = resolve_precision("auto", model.device)
        self._report = next(iter(task.report.values()))
        self._seeds: dict[int, tuple[BlockLasso, Task]] = {}

    def score(self, factor: float, seed: int) -> Cell:
        """Prune, train, score; the training under the penalty is done once for each seed."""
        if seed not in self._seeds:
            some = some_rows(self._task.train, self._rows or len(self._task.train), seed)
            pruner = BlockLasso(self._settings, state=self._state / str(seed))
            self._seeds[seed] = pruner, replace(self._task, train=some)
        pruner, task = self._seeds[seed]
        made = pruner.prune(Supernet(self._model), task, 1 / factor, np.random.default_rng(seed))
        pad, dtype = task.pad_token_id, self._dtype
        error = model_error(made.model, self._report, task.metric, pad_token_id=pad, dtype=dtype)
        for done in (self._state / str(seed)).glob("retraining-*"):
            shutil.rmtree(done)
        stored = stored_bytes(made.model) / stored_bytes(self._model)
        found = {"score": 1 - error, "density": made.density, "counted": compression(made.model), "stored": stored}
        return found | {"seconds": made.provenance.seconds}

    def targets(self, threads: int, precision: str) -> dict[str, LatencyTarget]:
        """Return what is timed, by name."""
        fixed = LatencyTarget(
            machine=machine_name(), threads=threads, batch_size=32, sequence_length=128, precision=precision
        )
        own = {"sequence_length": TASK, "lengths": padded_lengths(self._report.lengths, 32)}
        return {"128 tokens": fixed, "the task's lengths": LatencyTarget(**{**fixed.model_dump(), **own})}

    def speed(self, factor: float, target: LatencyTarget) -> Cell:
        """Return how many times as fast as before each form is, and how much the machine's speed varied."""
        settings, made = self._settings, copy.deepcopy(self._model)
        cuts = cut(made, scheme=settings.scheme, width=settings.width)
        weights = {path: made.get_parameter(f"{path}.weight").data for path in cuts}
        norms = {path: one.norms(weights[path]) for path, one in cuts.items()}
        for path, kept in kept_groups(norms, cuts, 1 / factor, settings.selection).items():
            weights[path].mul_(cuts[path].spread(kept))
        mark_slabs(made, cuts)
        found = fastest(made, target, seconds=20.0)  # the dense form is what the model was before, with zeros
        dense = found.latencies["dense"].median
        return {form: dense / one.median for form, one in found.latencies.items()} | {"spread": found.spread}


if __name__ == "__main__":
    typer.run(main)
