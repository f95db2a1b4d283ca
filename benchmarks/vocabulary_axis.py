"""What a search finds when it may also choose how many tokens a model reads.

    python -m secateur.benchmarks.vocabulary_axis [--task sst2] [--data GLUE_FOLDER] [--train-limit 8000]
        [--seeds 0,1,2] [--budget 60] [--keep corpus,8000,4000] [--shares 3/4,1/2,...]
        [--folder runs/vocabulary-axis] [--json]

MiniLM is fine-tuned once for each seed. The same search, of so many points, for errors and parameters, with the
weights that need no training (`solved`), is run twice: with all tokens, and with the vocabularies as
an axis. Of each share of the whole model's parameters there is then the model with the lowest error on the selection
split; printed are the scores of both on the report split, what the axis is better by with the 95 % interval of a paired
bootstrap over rows and seeds, and the tokens that its model reads. A model that no search has within a share is left
empty. Finished searches are not repeated.
"""

from __future__ import annotations

import json as json_module
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..evaluation.answers import Answers, mean_difference_interval
from ..evaluation.evaluation import SELECTION, Evaluation
from ..evaluation.latency import machine_name
from ..evaluation.model_error import model_outputs
from ..evaluation.objectives import ERROR
from ..evaluation.weights import Weights
from ..run.model import open_subnet
from ..run.project import open_encoder
from ..run.run import Run
from ..run.settings.parsing import parse_shares
from ..run.vocabulary import Vocabularies
from ..supernet import Supernet
from .common import JsonOption, show

_SIZE = "parameters"
_WHOLE, _AXIS = "all tokens", "axis"


@dataclass(frozen=True)
class Best:
    """A search's best model within a share: what it answers on the report split, and how many tokens it reads."""

    answers: Answers
    tokens: int


@dataclass(frozen=True)
class Searched:
    """A run that was searched.

    Attributes:
        run: it.
        rows: what its search evaluated on the selection split.
    """

    run: Run
    rows: list[Evaluation]

    def best(self, share: float) -> Best | None:
        """Return its best model within a share of the whole model's parameters; None if it has none.

        A model without layers, which ends every search at its cheap end, does not count.
        """
        most = share * max(one.values[_SIZE] for one in self.rows)
        within = [one for one in self.rows if one.values[_SIZE] <= most and one.mask.depth]
        if not within:
            return None
        chosen = min(within, key=lambda one: (one.values[ERROR], one.values[_SIZE]))
        task = self._vocabularies.uncut_task(chosen.mask.tokens)
        model = open_subnet(self.run.folder, self._encoder, chosen)
        outputs = [model_outputs(model, split, pad_token_id=task.pad_token_id) for split in task.report.values()]
        tokens = chosen.mask.tokens.count if chosen.mask.tokens else int(model.config.vocab_size)
        return Best(Answers.of(task.metric, outputs, list(task.report.values())), tokens)

    @cached_property
    def _encoder(self) -> Supernet:
        return open_encoder(self.run.folder)

    @cached_property
    def _vocabularies(self) -> Vocabularies:
        return Vocabularies(self.run.folder)


def _searched(finetuned: Run, side: str, budget: int, keep: str) -> Searched:
    path = finetuned.path.parent / f"{finetuned.path.name}-{side.replace(' ', '-')}"
    if not path.exists():
        shutil.copytree(finetuned.path, path)
    run = Run(path)
    vocabulary = {"vocabulary": keep} if side == _AXIS else {}
    run.search(weights="solved", objectives=f"{ERROR},{_SIZE}", budget=budget, **vocabulary)
    with run.archive() as archive:
        return Searched(run, archive.evaluations(split=SELECTION, weights=Weights.SOLVED))


def main(
    task: Annotated[str, typer.Option(help="of GLUE")] = "sst2",
    data: Annotated[Path | None, typer.Option(help="folder of the parquet files; the hub if not given")] = None,
    train_limit: Annotated[int | None, typer.Option(help="rows to train on")] = 8000,
    seeds: Annotated[str, typer.Option(help="comma-separated")] = "0,1,2",
    budget: Annotated[int, typer.Option(help="points of each search")] = 60,
    keep: Annotated[str, typer.Option(help="vocabularies, as the search has them")] = "corpus,8000,4000",
    shares: Annotated[str, typer.Option(help="of the whole model's parameters")] = "3/4,2/3,1/2,2/5,1/3,1/4,1/6",
    folder: Annotated[Path, typer.Option(help="runs")] = Path("runs/vocabulary-axis"),
    json: JsonOption = False,
) -> None:
    """Search twice for each seed, choose, print."""
    found: dict[str, list[Searched]] = {_WHOLE: [], _AXIS: []}
    for seed in seeds.split(","):
        run = Run.create(
            folder / f"{task}-{seed}", model="demo", task=task, data=data, train_limit=train_limit, seed=int(seed)
        )
        run.finetune()
        for side, searched in found.items():
            searched.append(_searched(run, side, budget, keep))
    rows = [_row(share, found) for share in shares.split(",")]
    if json:
        print(json_module.dumps({"machine": machine_name(), "rows": rows}))
        return
    title = f"{task}: best models of searches of {budget} points with solved weights, seeds {seeds}; report split x 100"
    header = ("of all parameters", _WHOLE, _AXIS, "axis better by", "95 %", "tokens read")
    show(title, header, [tuple(_cells(row)) for row in rows])


def _row(share: str, found: dict[str, list[Searched]]) -> dict[str, Any]:
    sides = {side: [one.best(float(parse_shares(share)[0])) for one in of] for side, of in found.items()}
    row: dict[str, Any] = {"share": share}
    made = {side: [one for one in of if one] for side, of in sides.items()}
    for side, of in made.items():
        row[side] = float(np.mean([1 - one.answers.error() for one in of])) if len(of) == len(sides[side]) else None
    row["tokens"] = [one.tokens for one in made[_AXIS]]
    if row[_WHOLE] is not None and row[_AXIS] is not None:
        ones, others = ([one.answers for one in made[side]] for side in (_WHOLE, _AXIS))
        row["better_by"] = row[_AXIS] - row[_WHOLE]
        row["low"], row["high"] = mean_difference_interval(ones, others, seed=0)
    return row


def _cells(row: dict[str, Any]) -> Iterator[str]:
    yield row["share"]
    for side in (_WHOLE, _AXIS):
        yield "" if row[side] is None else f"{100 * row[side]:.1f}"
    yield f"{100 * row['better_by']:+.1f}" if "low" in row else ""
    yield f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}" if "low" in row else ""
    yield ", ".join(f"{count:,}" for count in row["tokens"])


if __name__ == "__main__":
    typer.run(main)
