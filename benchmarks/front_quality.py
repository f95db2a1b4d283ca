"""What a front is worth: Secateur's default beside what a user could do instead in the same seconds.

    python -m secateur.benchmarks.front_quality [--task sst2] [--data DIR] [--train-limit 8000] [--seeds 0,1,2]
        [--shares 1/2,1/4,1/6,1/10] [--rungs 3/4,1/2,1/4,1/6,1/10] [--steps 200] [--rates 5e-5,1e-4,2e-4]
        [--cofi-steps 400] [--methods ladder,one_shot,...] [--rows 0:527] [--folder runs/front-quality] [--json]

MiniLM is fine-tuned once for each seed. Of each share of the encoder's parameters there is then

- `ladder`: `secateur ladder`, Secateur's default, with its default rungs and so many steps for half the encoder;
- `first_layers`: the first layers of the fine-tuned model, narrowed alike where they do not fit, distilled from it
  by its logits and the labels, each size for the CPU seconds that the ladder took for it; the best of `--rates` by the
  selection split, each of which gets these seconds;
- `best_layers`: likewise the layers without which outputs change most (`supernet.reordering.measured_layer_order`);
- `one_shot`: the units of the highest Fisher scores at once, refitted, and trained as a rung is, for the same seconds;
- `fisher_refit`: the same without the training;
- `cofi`: CoFi for so many steps at each size, whatever seconds they take: its masks do not come to a size in fewer;
- `search`: a supernet and a search with their defaults, and the best model within the share;
- `words`: TF-IDF of tokens and their pairs with a logistic regression, or a ridge: a floor that needs no encoder.

Printed are scores on the report split, as a share of the whole model's, the mean over seeds; what the ladder is better
by, in points of the metric, with the 95 % interval of a paired bootstrap over the rows of the report split; and CPU
seconds after fine-tuning, the ladder's with those of its scoring. What is done is kept in the folder and not repeated;
a method that is not asked for is not shown. `--rows` looks at a stretch of the report split alone: of CoLA the first
527 are of the sources that its training rows are of, the 516 after them of others (Warstadt et al., TACL 2019).
"""

from __future__ import annotations

import copy
import json as json_module
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from scipy.sparse import csr_matrix
from transformers import PreTrainedModel

from ..evaluation.answers import Answers, mean_difference_interval
from ..evaluation.model_error import model_error, model_outputs
from ..evaluation.weights import Weights
from ..pruners import make_pruner
from ..pruners.cofi.pruner import CoFi
from ..pruners.cofi.settings import CoFiSettings, Schedule
from ..run.choice.front import whole_model, within_shares
from ..run.model import evaluations_of, open_subnet
from ..run.project import open_encoder
from ..run.run import Run
from ..run.settings.ladder import SHARES, LadderSettings
from ..run.settings.parsing import parse_shares
from ..run.settings.recovery import RecoverOptions
from ..run.ship.recovery import distilled
from ..run.ship.refit import whole_sums
from ..run.stages.supernet import layer_order
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract
from ..supernet.refit import refit
from ..supernet.stored.storage import load_model
from ..supernet.training.recovery import recover
from ..supernet.training.settings import RecoverySettings
from ..tasks import Task
from ..tasks.split import Split
from .common import JsonOption, Known, show

METHODS = ("ladder", "first_layers", "best_layers", "one_shot", "fisher_refit", "cofi", "search", "words")
_PROBED = 8  # steps that tell how long one takes


@dataclass(frozen=True)
class Recipe:
    """What is made of each seed.

    Attributes:
        shares: of the encoder's parameters.
        rungs: of the ladder, beside these.
        methods: of METHODS.
        steps: of the ladder, for half the encoder.
        rates: of the distillation of layers.
        cofi_steps: at each size.
    """

    shares: tuple[str, ...] = ("1/2", "1/4", "1/6", "1/10")
    rungs: tuple[str, ...] = tuple(SHARES.split(","))
    methods: tuple[str, ...] = METHODS
    steps: int = LadderSettings().steps
    rates: tuple[float, ...] = (5e-5, 1e-4, 2e-4)
    cofi_steps: int = 400


@dataclass(frozen=True)
class Seed:
    """One fine-tuned model, and where what is made of it is kept.

    Attributes:
        run: its run.
        task: the run's.
        model: the fine-tuned one.
        known: what was found before.
        outputs: folder of outputs on the report split.
    """

    run: Run
    task: Task
    model: PreTrainedModel
    known: Known
    outputs: Path

    @property
    def number(self) -> int:
        """The seed."""
        return self.run.folder.project.seed

    def cell(self, method: str, share: str, make: Callable[[], tuple[PreTrainedModel | None, float, Any]]) -> dict:
        """Return what a method's model of a share is worth, made unless it is known.

        Args:
            method: its name.
            share: the budget.
            make: returns the model, its seconds, and, if there is no model, the outputs on the report split.
        """
        return self.known.find(
            {"seed": self.number, "method": method, "share": share}, partial(self._made, method, share, make)
        )

    def _made(self, method: str, share: str, make: Callable[[], tuple[PreTrainedModel | None, float, Any]]) -> dict:
        model, seconds, outputs = make()
        encoder = None
        if model is not None:
            outputs = self.report(model)
            encoder = _encoder_parameters(model) / _encoder_parameters(self.model)
        path = self.outputs / f"{method}-{share.replace('/', '_')}-{self.number}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(outputs))
        return {"seconds": seconds, "encoder": encoder, "outputs": path.name}

    def report(self, model: PreTrainedModel) -> list[np.ndarray]:
        """Return a model's outputs on each data set of the report split."""
        pad = self.task.pad_token_id
        return [model_outputs(model.eval(), split, pad_token_id=pad) for split in self.task.report.values()]

    def selection_error(self, model: PreTrainedModel) -> float:
        """Return a model's error on the selection split."""
        return model_error(model.eval(), self.task.selection, self.task.metric, pad_token_id=self.task.pad_token_id)

    def answers(self, cell: dict, rows: slice = slice(None)) -> Answers:
        """Return what a model answered on the report split, or on some rows of each of its data sets."""
        splits = list(self.task.report.values())
        ends = np.cumsum([int(split.output_counts.sum()) for split in splits])
        outputs = np.split(np.load(self.outputs / cell["outputs"]), ends[:-1])
        whole = Answers.of(self.task.metric, outputs, splits)
        return Answers(whole.metric, tuple((given[rows], right[rows]) for given, right in whole.sets))


def _encoder_parameters(model: PreTrainedModel) -> int:
    return sum(p.numel() for name, p in model.named_parameters() if ".layer." in name)


def _ladder(seed: Seed, rungs: list[str], steps: int) -> Iterator[tuple[str, dict]]:
    def make(share: str) -> tuple[PreTrainedModel, float, None]:
        begin = time.process_time()
        made = seed.run.ladder(shares=share, steps=steps)
        return load_model(seed.run.folder.ladder / made[0].key), time.process_time() - begin, None

    seed.run.latency()  # a table that rungs are timed for, and not their cost
    for share in rungs:
        yield share, seed.cell("ladder", share, partial(make, share))


def _one_shot(seed: Seed, share: str, seconds: float) -> tuple[PreTrainedModel, float, None]:
    begin, task = time.process_time(), seed.task
    whole = Supernet(seed.model)
    fisher = make_pruner("rank_fisher").prune(whole, task, float(parse_shares(share)[0]), np.random.default_rng(0))
    model = fisher.model
    refit(model, fisher.mask, whole_sums(whole, task, seed.number))

    def train(model: PreTrainedModel, steps: int) -> None:
        options = RecoverOptions(learning_rate=LadderSettings().learning_rate, steps=steps)
        teacher = load_model(seed.run.folder.finetuned)
        with tempfile.TemporaryDirectory() as state:
            distilled(teacher, model, task, options, seed.number, Path(state), lambda _: None)

    if seconds:
        left = seconds - (time.process_time() - begin)
        train(model, max(1, int(left / _pace(partial(train, copy.deepcopy(model))))))
    return model, time.process_time() - begin, None


def _pace(train: Callable[[int], Any]) -> float:
    """Return the CPU seconds of a step: they do not depend on what else the machine does."""
    train(1)
    times = [time.process_time()]
    for steps in (1, 1 + _PROBED):
        train(steps)
        times.append(time.process_time())
    return (times[2] - 2 * times[1] + times[0]) / _PROBED  # without what does not depend on the steps


def _layers(
    seed: Seed, share: str, seconds: float, rates: list[float], *, measured: bool
) -> tuple[PreTrainedModel, float, None]:
    """Distil some layers at each rate for so many seconds; those of the teacher's pass are not counted."""
    outputs = model_outputs(seed.model, seed.task.train, pad_token_id=seed.task.pad_token_id)
    whole = Supernet(seed.model)
    order = layer_order(seed.run.folder, whole, seed.task) if measured else range(whole.shape.num_layers)
    mask = whole_layers(whole, float(parse_shares(share)[0]), order)
    per_epoch = math.ceil(len(seed.task.train) / RecoverySettings().batch_size)

    def train(steps: int, rate: float = 1e-4) -> PreTrainedModel:
        model = extract(seed.model, mask)
        settings = RecoverySettings(learning_rate=rate, epochs=steps / per_epoch)
        recover(model, seed.task, outputs, settings, seed=seed.number)
        return model

    steps = max(1, int(seconds / _pace(train)))
    made = [train(steps, rate) for rate in rates]
    return min(made, key=seed.selection_error), seconds, None


def _cofi(seed: Seed, share: str, steps: int) -> tuple[PreTrainedModel, float, None]:
    begin, usual = time.process_time(), CoFiSettings(least_steps=0)
    longer = steps / Schedule.of(usual, len(seed.task.train)).total
    epochs = {name: longer * getattr(usual, name) for name in ("distil_epochs", "epochs", "final_epochs")}
    rng = np.random.default_rng(seed.number)
    cofi = CoFi(usual.model_copy(update=epochs))
    pruned = cofi.prune(Supernet(seed.model), seed.task, float(parse_shares(share)[0]), rng)
    return pruned.model, time.process_time() - begin, None


def whole_layers(whole: Supernet, share: float, order: Sequence[int]) -> SubnetMask:
    """Return the mask of the layers that come first, with their first units: narrowed alike to fit in a share."""
    shape = whole.shape
    count = max(1, math.ceil(round(share * shape.num_layers, 6)))
    kept = np.isin(np.arange(shape.num_layers), order[:count])
    for part in np.linspace(1, 0, shape.num_heads * 8, endpoint=False):
        heads, neurons = max(1, round(part * shape.num_heads)), max(1, int(part * shape.intermediate_size))
        mask = SubnetMask.from_counts(shape, kept * heads, kept * neurons)
        if mask.encoder_parameters(shape) <= share * shape.encoder_parameters:
            return mask
    raise ValueError(f"one unit of {count} layers exceeds a share of {share:g}")


def _search(seed: Seed, share: str) -> tuple[PreTrainedModel, float, None]:
    seed.run.train_supernet()
    seed.run.search()
    with seed.run.archive() as archive:
        kind = Weights.SUPERNET
        (best,) = within_shares(archive, whole_model(archive, kind), "encoder_parameters", parse_shares(share), kind)
        one, _ = evaluations_of(archive, best.key, kind)
    seconds = sum(seed.run.folder.seconds(stage) for stage in ("supernet", "search"))
    return open_subnet(seed.run.folder, open_encoder(seed.run.folder), one), seconds, None


def _words(seed: Seed) -> tuple[None, float, list[np.ndarray]]:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression, Ridge

    begin, task = time.monotonic(), seed.task
    size = seed.model.config.vocab_size
    weigh = TfidfTransformer(sublinear_tf=True)
    train = weigh.fit_transform(_counted(task.train, size))
    rest = [weigh.transform(_counted(split, size)) for split in task.report.values()]
    labels = np.asarray(task.train.labels)
    if task.kind.name == "regression":
        model = Ridge().fit(train, labels)
        outputs = [model.predict(rows)[:, None] for rows in rest]
    else:
        model = LogisticRegression(C=10, max_iter=1000).fit(train, labels)
        found = [model.decision_function(rows) for rows in rest]
        outputs = [np.stack([-rows, rows], 1) if rows.ndim == 1 else rows for rows in found]
    return None, time.monotonic() - begin, outputs


def _counted(split: Split, size: int, pairs: int = 2**20) -> csr_matrix:
    """Count the tokens of texts and their pairs, the pairs in buckets."""
    rows, columns = [], []
    for row, ids in enumerate(split.input_ids):
        ids = ids.astype(np.int64)
        both = size + (ids[:-1] * 1_000_003 + ids[1:]) % pairs
        rows.append(np.full(len(ids) + len(both), row))
        columns.append(np.concatenate([ids, both]))
    at = np.concatenate(rows), np.concatenate(columns)
    return csr_matrix((np.ones(len(at[0])), at), shape=(len(split), size + pairs))


def open_seed(project: dict[str, Any], number: int, folder: Path, epochs: float | None = None) -> Seed:
    """Return a fine-tuned model, made unless it is there.

    Args:
        project: what it is about, as `Run.create` takes it.
        number: the seed.
        folder: of runs, and of what is done.
        epochs: of fine-tuning; its default if None.
    """
    run = Run.create(folder / f"{project['task']}-{number}", model="demo", seed=number, **project)
    run.finetune(epochs=epochs)
    known = Known(folder / f"{project['task']}.jsonl")
    return Seed(run, run.task(), load_model(run.folder.finetuned), known, folder / f"{project['task']}-outputs")


def _cells(seed: Seed, recipe: Recipe) -> dict[tuple[str, str], dict]:
    """Make what is missing, and return all of a seed by method and share."""
    shares, rates = recipe.shares, list(recipe.rates)
    found = {("whole", ""): seed.cell("whole", "", lambda: (seed.model, 0.0, None))}
    seconds = {}
    rungs = sorted({*recipe.rungs, *shares}, key=lambda title: -parse_shares(title)[0])
    for share, cell in _ladder(seed, rungs, recipe.steps):
        found["ladder", share], seconds[share] = cell, cell["seconds"]
    makers: dict[str, Callable[[str], Any]] = {
        "first_layers": lambda share: _layers(seed, share, seconds[share], rates, measured=False),
        "best_layers": lambda share: _layers(seed, share, seconds[share], rates, measured=True),
        "one_shot": lambda share: _one_shot(seed, share, seconds[share]),
        "fisher_refit": lambda share: _one_shot(seed, share, 0.0),
        "cofi": lambda share: _cofi(seed, share, recipe.cofi_steps),
        "search": lambda share: _search(seed, share),
    }
    for method, share in ((m, s) for m in recipe.methods if m in makers for s in shares):
        found[method, share] = seed.cell(method, share, partial(makers[method], share))
    if "words" in recipe.methods and seed.task.kind.head == "sequence-classification":
        found["words", ""] = seed.cell("words", "", lambda: _words(seed))
    return found


def measured(seeds: Sequence[Seed], recipe: Recipe, rows: slice = slice(None)) -> list[dict[str, Any]]:
    """Make what is missing, and return a row for each method and share, means over seeds.

    Args:
        seeds: of one task.
        recipe: what is made.
        rows: of the report split.
    """
    cells, table = [_cells(seed, recipe) for seed in seeds], []
    for method, share in cells[0]:
        answers = [seed.answers(mine[method, share], rows) for seed, mine in zip(seeds, cells, strict=True)]
        wholes = [seed.answers(mine["whole", ""], rows) for seed, mine in zip(seeds, cells, strict=True)]
        scores, whole = (np.array([1 - one.error() for one in of]) for of in (answers, wholes))
        row = {"method": method, "share": share, "score": scores.mean(), "spread": scores.max() - scores.min()}
        row["of_whole"] = float(np.mean(scores / whole))
        row["seconds"] = float(np.mean([mine[method, share]["seconds"] for mine in cells]))
        row["encoder"] = cells[0][method, share]["encoder"]
        if method not in ("ladder", "whole", "words"):
            ladder = [seed.answers(mine["ladder", share], rows) for seed, mine in zip(seeds, cells, strict=True)]
            row["ladder_better_by"] = float(np.mean([a.error() - b.error() for a, b in zip(answers, ladder)]))
            row["low"], row["high"] = mean_difference_interval(answers, ladder, seed=0)
        table.append(row)
    return table


def main(
    task: Annotated[str, typer.Option(help="of GLUE, or squad")] = "sst2",
    data: Annotated[Path | None, typer.Option(help="folder of the parquet files; the hub if not given")] = None,
    train_limit: Annotated[int | None, typer.Option(help="rows to train on")] = 8000,
    epochs: Annotated[float | None, typer.Option(help="of fine-tuning; its default if not given")] = None,
    seeds: Annotated[str, typer.Option(help="comma-separated")] = "0,1,2",
    shares: Annotated[str, typer.Option(help="of the encoder's parameters")] = "1/2,1/4,1/6,1/10",
    rungs: Annotated[str, typer.Option(help="of the ladder, beside these")] = SHARES,
    steps: Annotated[int, typer.Option(help="of half the encoder")] = LadderSettings().steps,
    rates: Annotated[str, typer.Option(help="of the distillation of first layers")] = "5e-5,1e-4,2e-4",
    cofi_steps: Annotated[int, typer.Option(help="of CoFi, at each size")] = 400,
    methods: Annotated[str, typer.Option(help=", ".join(METHODS))] = ",".join(METHODS),
    rows: Annotated[str, typer.Option(help="of the report split, FIRST:LAST + 1")] = ":",
    folder: Annotated[Path, typer.Option(help="runs, and what is done")] = Path("runs/front-quality"),
    json: JsonOption = False,
) -> None:
    """Make what is missing, and print the table."""
    recipe = Recipe(
        shares=tuple(shares.split(",")),
        rungs=tuple(rungs.split(",")),
        methods=tuple(methods.split(",")),
        steps=steps,
        rates=tuple(float(rate) for rate in rates.split(",")),
        cofi_steps=cofi_steps,
    )
    found = [
        open_seed({"task": task, "data": data, "train_limit": train_limit}, int(one), folder, epochs)
        for one in seeds.split(",")
    ]
    table = measured(found, recipe, slice(*(int(end) if end else None for end in rows.split(":"))))
    if json:
        print(json_module.dumps(table))
    else:
        seen = "" if rows == ":" else f", report rows {rows}"
        _print(f"{task}, {found[0].task.metric.name}, {len(found[0].task.train):,} rows{seen}, seeds {seeds}", table)


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    header = ("method", "share", "kept", "score", "spread", "of the whole", "ladder better by", "95 %", "s")
    shown = []
    for row in rows:
        kept = "" if row["encoder"] is None else f"{row['encoder']:.1%}"
        better = between = ""
        if "low" in row:
            better, between = (
                f"{100 * row['ladder_better_by']:+.1f}",
                f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            )
        numbers = (f"{100 * row['score']:.1f}", f"{100 * row['spread']:.1f}", f"{row['of_whole']:.1%}")
        shown.append((row["method"], row["share"], kept, *numbers, better, between, f"{row['seconds']:.0f}"))
    show(title, header, shown)


if __name__ == "__main__":
    typer.run(main)
