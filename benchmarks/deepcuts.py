"""Single weights removed by Cam-Cut, Smooth-Cut and older scores, rewound and trained again, score by score.

    python -m secateur.benchmarks.deepcuts RUN [--compressions 2,3,4] [--strategies cam,smooth,magnitude,snip]
        [--epochs 2] [--rows 6920] [--texts N] [--seeds 1] [--results FILE] [--jaccard-only] [--json]

RUN is a run folder with a fine-tuned model. For each seed every strategy scores the fine-tuned weights once. For each
compression the best of each tensor stay; the pre-trained weights come back (the fine-tuned ones stay where the run
began with a fine-tuned model); what stays is trained on the same texts for the same steps, and scored on the report
split. The row `none` removes nothing, for the score that this training reaches at all. The second table tells how much
two strategies agree: weights that both keep over weights that either keeps, mean over the seeds.

A compression is that of BERT-base with its embeddings, as the paper counts: 2, 3 and 4 keep 36.1, 14.7 and 4.1 % of
each tensor. The same shares are kept of any model here: in a small one the embeddings, which stay, are half of all
parameters, and the whole cannot be compressed by more than 2.

Cells that are done are kept in the file of `--results` and are not repeated.
"""

from __future__ import annotations

import copy
import itertools
import json as json_module
import statistics
from collections import defaultdict
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from transformers import PreTrainedModel

from ..errors import unknown_name
from ..evaluation.model_error import model_error
from ..pruners.deepcuts import retrain_masked
from ..pruners.deepcuts_settings import RETRAINING
from ..pruners.elements import STRATEGIES, Elements, jaccard, kept_elements, kept_fraction
from ..run.folder import RunFolder, file_digest
from ..run.project import load_supernet, on_device, open_task, start_model
from ..supernet import Supernet
from ..supernet.precision import resolve_precision
from ..supernet.training.settings import FinetuneSettings
from ..tasks import Task
from .common import JsonOption, Known, console, show, some_rows

BERT_BASE = (109_483_778, 85_608_192)  # parameters with a head for two classes, and those that may be removed
NONE = "none"
Table = defaultdict[str, defaultdict[str, list[float]]]  # of a name and a compression, a number per seed


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a fine-tuned model")],
    compressions: Annotated[str, typer.Option(help="of BERT-base, comma-separated")] = "2,3,4",
    strategies: Annotated[str, typer.Option(help="comma-separated")] = "cam,smooth,magnitude,snip",
    epochs: Annotated[float, typer.Option(help="passes over the texts to train what stays")] = 2.0,
    rows: Annotated[int, typer.Option(help="training texts, drawn by the seed")] = 6920,
    texts: Annotated[
        int | None, typer.Option(help="of them to score on; the strategy's own number if not given")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="of texts, scores and training")] = 1,
    learning_rate: Annotated[float, typer.Option(help="peak rate of the training")] = RETRAINING.learning_rate,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/deepcuts.jsonl"),
    jaccard_only: Annotated[bool, typer.Option(help="do not train, only compare what is kept")] = False,
    json: JsonOption = False,
) -> None:
    """Score, mask, rewind, train, evaluate, print."""
    names, factors = strategies.split(","), [float(c) for c in compressions.split(",")]
    for name in names:
        if name not in STRATEGIES:
            raise unknown_name("strategy", name, STRATEGIES)
    folder = RunFolder.open(run)
    task = open_task(folder)
    recipe = RETRAINING.model_copy(update={"epochs": epochs, "learning_rate": learning_rate})
    model = file_digest(folder.finetuned / "model.safetensors")[:12]
    choice = f"{task.name} {model} rows={rows} texts={texts}"
    training = f"{choice} epochs={epochs:g} rate={learning_rate:g}"
    known = Known(results)
    scores: Table = defaultdict(lambda: defaultdict(list))
    overlaps: Table = defaultdict(lambda: defaultdict(list))
    rewinds = folder.record["facts"]["taken_for"] == "pre-trained"
    if not rewinds and not json:
        console.print("the run began with a fine-tuned model: there is nothing to rewind to, its weights stay")
    for seed in range(seeds):
        some = replace(task, train=some_rows(task.train, rows, seed))
        trial = Trial(folder, some, recipe, texts, seed, rewinds=rewinds)
        for (left, right), c in itertools.product(itertools.combinations(names, 2), factors):
            pair = f"{left} and {right}"
            value = known.find(
                {"basis": choice, "name": pair, "c": c, "seed": seed}, partial(trial.overlap, left, right, c)
            )
            overlaps[pair][f"{c:g}"].append(value)
        for name, c in [] if jaccard_only else [(NONE, 1.0), *itertools.product(names, factors)]:
            value = known.find({"basis": training, "name": name, "c": c, "seed": seed}, partial(trial.score, name, c))
            scores[name][f"{c:g}"].append(value)
    if json:
        print(json_module.dumps({"score": scores, "jaccard": overlaps}))
        return
    basis = f"{task.name}, {rows} texts, {seeds} seeds"
    if scores:
        _show(f"{basis}, {epochs:g} epochs: score on the report split", scores, [1.0, *factors])
    if overlaps:
        _show(f"{basis}: overlap of what two strategies keep (Jaccard)", overlaps, factors)


def fraction(compression: float) -> float:
    """Return the share of each tensor that a compression of BERT-base keeps."""
    return kept_fraction(compression, *BERT_BASE)


def _show(title: str, table: Table, factors: list[float]) -> None:
    header = ("", *("all kept" if c == 1 else f"c = {c:g}, {fraction(c):.1%} kept" for c in factors))
    show(title, header, [(name, *(_mean(found.get(f"{c:g}", [])) for c in factors)) for name, found in table.items()])


def _mean(values: list[float]) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.1%}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1%}{spread}"


class Trial:
    """One seed: its texts, and the scores of the strategies, each made when it is first needed."""

    def __init__(
        self, folder: RunFolder, task: Task, recipe: FinetuneSettings, texts: int | None, seed: int, *, rewinds: bool
    ) -> None:
        self._folder, self._task, self._recipe, self._texts = folder, task, recipe, texts
        self._seed, self._rewinds = seed, rewinds
        self._scores: dict[str, Elements] = {}

    @cached_property
    def _supernet(self) -> Supernet:
        return on_device(load_supernet(self._folder.finetuned))

    @cached_property
    def _start(self) -> PreTrainedModel:
        return (
            on_device(Supernet(start_model(self._folder, self._task))).model if self._rewinds else self._supernet.model
        )

    def kept(self, name: str, compression: float) -> Elements:
        """Return what a strategy keeps; nothing is removed by `none`."""
        if name == NONE:
            return {}
        if name not in self._scores:
            scoring = STRATEGIES[name]
            if scoring.recipe is not None and self._texts is not None:
                scoring = replace(scoring, recipe=replace(scoring.recipe, texts=self._texts))
            self._scores[name] = scoring(self._supernet, self._task, np.random.default_rng([self._seed, 5]))
        return kept_elements(self._scores[name], fraction(compression))

    def overlap(self, left: str, right: str, compression: float) -> float:
        """Return the Jaccard index of what two strategies keep."""
        return jaccard(self.kept(left, compression), self.kept(right, compression))

    def score(self, name: str, compression: float) -> float:
        """Rewind, mask, train, evaluate."""
        model, task = copy.deepcopy(self._start).float(), self._task
        retrain_masked(model, self.kept(name, compression), task, self._recipe, seed=self._seed)
        dtype, report = resolve_precision("auto", model.device), next(iter(task.report.values()))
        return 1 - model_error(model.eval(), report, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)


if __name__ == "__main__":
    typer.run(main)
