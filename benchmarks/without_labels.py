"""What labels are worth to a model that is made smaller: the same ladder with them and without them.

    python -m secateur.benchmarks.without_labels [--task sst2] [--data DIR] [--train-limit 8000] [--epochs 3]
        [--seeds 0,1,2] [--shares 1/2,1/4] [--steps 200] [--folder runs/without-labels] [--coverage 2000] [--json]

MiniLM is fine-tuned once for each seed, with labels. From this model there are two runs on the same texts, `labels` and
`none`, whose ladders have the same rungs and take the same steps: the first learns from the fine-tuned model and the
labels, and its selection split has labels; of the second `--labels none` hides them everywhere, so that it is held to
the fine-tuned model's answers alone.

Printed are, for each rung, the accuracy on the report split by its labels, which no run without labels has looked at;
the flip rate there, the share of texts that the rung answers otherwise than the fine-tuned model, with the exact 95 %
interval of so many flips among one seed's texts; and what the ladder with labels is better by, in points, with the 95 %
interval of a paired bootstrap over the rows. All are means over seeds. `--coverage` draws so many samples of texts,
and of sentences whose words flip together, of a known flip rate, and prints how often the interval holds it. What is
done is kept in the folder and not repeated.
"""

from __future__ import annotations

import json as json_module
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..evaluation.answers import Answers, mean_difference_interval
from ..evaluation.flips import clustered_interval, share_interval
from ..evaluation.model_error import model_outputs
from ..run.run import Run
from ..run.settings.ladder import LadderSettings
from ..supernet.stored.storage import load_model
from ..tasks import Task
from .common import JsonOption, Known, console, show

ARMS = ("labels", "none")
_RATES, _TEXTS = (0.005, 0.02, 0.1), (200, 2000)  # of the simulation


@dataclass(frozen=True)
class Seed:
    """One fine-tuned model, the runs that begin with it, and what was found before."""

    whole: Run
    task: Task
    known: Known
    outputs: Path

    def cell(self, arm: str, share: str, run: Run, steps: int) -> dict[str, Any]:
        """Return what a rung of a run is worth, made unless it is known; the whole model where no share is given."""
        seed = run.folder.project.seed
        return self.known.find(
            {"seed": seed, "arm": arm, "share": share, "steps": steps}, partial(self._made, arm, share, run, steps)
        )

    def _made(self, arm: str, share: str, run: Run, steps: int) -> dict[str, Any]:
        begin = time.process_time()
        folder = run.folder.finetuned
        if share:
            folder = run.folder.ladder / run.ladder(shares=share, steps=steps)[0].key
        seconds, pad = time.process_time() - begin, self.task.pad_token_id
        model = load_model(folder).eval()
        found = [model_outputs(model, split, pad_token_id=pad) for split in self.task.report.values()]
        path = self.outputs / f"{arm}-{share.replace('/', '_')}-{run.folder.project.seed}-{steps}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.concatenate(found))
        return {"seconds": seconds, "outputs": path.name}

    def answers(self, cell: dict[str, Any]) -> Answers:
        """Return what a model answered on the report split, beside the labels there."""
        splits = list(self.task.report.values())
        ends = np.cumsum([int(split.output_counts.sum()) for split in splits])
        return Answers.of(self.task.metric, np.split(np.load(self.outputs / cell["outputs"]), ends[:-1]), splits)


def _opened(number: int, project: dict[str, Any], epochs: float | None, folder: Path) -> tuple[Seed, dict[str, Run]]:
    name = str(project["task"])
    whole = Run.create(folder / f"{name}-{number}", model="demo", seed=number, **project)
    whole.finetune(epochs=epochs)
    seed = Seed(whole, whole.task(), Known(folder / f"{name}.jsonl"), folder / f"{name}-outputs")
    alone = Run.create(
        folder / f"{name}-{number}-none", model=str(whole.folder.finetuned), seed=number, labels="none", **project
    )
    alone.finetune()
    return seed, {"labels": whole, "none": alone}


def _flips(answers: Answers, whole: Answers) -> tuple[int, int]:
    """Return how many of the texts are answered otherwise than by the whole model, and of how many."""
    pairs = zip(answers.sets, whole.sets, strict=True)
    found = [answers.metric.kind.flips(given, before) for (given, _), (before, _) in pairs]
    return sum(int(part.sum()) for part, _ in found), sum(int(part.sum()) for _, part in found)


def coverage(draws: int) -> Iterator[dict[str, float | str]]:
    """Yield how often intervals hold the flip rate that samples were drawn with, and how often it is not above them."""
    rng = np.random.default_rng(0)
    for rate in _RATES:
        for texts in _TEXTS:
            counts = rng.binomial(texts, rate, draws)
            found = {count: share_interval(int(count), texts) for count in np.unique(counts)}
            yield _held("texts", rate, texts, [found[count] for count in counts])
        # Sentences of 5 to 25 words, and the rate of each drawn about the mean: an intra-class correlation of 0.1.
        clusters = []
        for _ in range(draws):
            words = rng.integers(5, 26, 400)
            own = rng.beta(9 * rate, 9 * (1 - rate), 400)
            clusters.append(clustered_interval(rng.binomial(words, own), words))
        yield _held("words of sentences", rate, 400, clusters)


def _held(of: str, rate: float, size: int, found: list[Any]) -> dict[str, float | str]:
    inside = np.mean([one.low <= rate <= one.high for one in found])
    return {"of": of, "rate": rate, "size": size, "inside": float(inside), "below": _share_below(rate, found)}


def _share_below(rate: float, found: list[Any]) -> float:
    return float(np.mean([rate <= one.high for one in found]))


def main(
    task: Annotated[str, typer.Option(help="of GLUE, with classes")] = "sst2",
    data: Annotated[Path | None, typer.Option(help="folder of the parquet files; the hub if not given")] = None,
    train_limit: Annotated[int | None, typer.Option(help="rows to train on")] = 8000,
    epochs: Annotated[float | None, typer.Option(help="of fine-tuning; its default if not given")] = None,
    seeds: Annotated[str, typer.Option(help="comma-separated")] = "0,1,2",
    shares: Annotated[str, typer.Option(help="of the encoder's parameters")] = "1/2,1/4",
    steps: Annotated[int, typer.Option(help="of half the encoder")] = LadderSettings().steps,
    folder: Annotated[Path, typer.Option(help="runs, and what is done")] = Path("runs/without-labels"),
    coverage_draws: Annotated[int, typer.Option("--coverage", help="samples of the simulation; 0 for none")] = 0,
    json: JsonOption = False,
) -> None:
    """Make what is missing, and print the tables."""
    project = {"task": task, "data": data, "train_limit": train_limit}
    rungs: dict[tuple[str, str], list[tuple[Answers, Answers, float]]] = {}
    for number in seeds.split(","):
        seed, runs = _opened(int(number), project, epochs, folder)
        before = seed.answers(seed.cell("whole", "", seed.whole, 0))
        rungs.setdefault(("whole", ""), []).append((before, before, 0.0))
        for share in shares.split(","):
            for arm in ARMS:
                cell = seed.cell(arm, share, runs[arm], steps)
                rungs.setdefault((arm, share), []).append((seed.answers(cell), before, cell["seconds"]))
    table = [_row(rungs, arm, share) for arm, share in rungs]
    drawn = list(coverage(coverage_draws)) if coverage_draws else []
    if json:
        print(json_module.dumps({"rungs": table, "coverage": drawn}))
        return
    _print(f"{task}, {train_limit or 'all'} rows, {steps} steps of half the encoder, seeds {seeds}", table)
    for row in drawn:
        console.print(
            f"{row['of']}: {row['size']} of a flip rate of {row['rate']}: in the interval in {row['inside']:.1%} of "
            f"{coverage_draws} samples, not above it in {row['below']:.1%}"
        )


def _row(rungs: dict[tuple[str, str], list[tuple[Answers, Answers, float]]], arm: str, share: str) -> dict[str, Any]:
    mine = rungs[arm, share]
    scores = [1 - answers.error() for answers, _, _ in mine]
    flips, texts = np.mean([_flips(answers, whole) for answers, whole, _ in mine], axis=0)
    rate = share_interval(round(flips), round(texts))  # the seeds' texts are the same, so they are not more texts
    row = {"arm": arm, "share": share, "score": float(np.mean(scores)), "spread": max(scores) - min(scores)}
    row |= {"flip_rate": rate.rate, "flip_low": rate.low, "flip_high": rate.high}
    row["seconds"] = float(np.mean([seconds for _, _, seconds in mine]))
    if arm == "none":
        ours, theirs = ([answers for answers, _, _ in rungs[one, share]] for one in ("none", "labels"))
        row["labels_better_by"] = float(np.mean([a.error() - b.error() for a, b in zip(ours, theirs, strict=True)]))
        row["low"], row["high"] = mean_difference_interval(ours, theirs, seed=0)
    return row


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    header = ("run", "share", "score", "spread", "flip rate", "95 %", "labels better by", "95 %", "s")
    shown = []
    for row in rows:
        numbers = [f"{100 * row[name]:.1f}" for name in ("score", "spread", "flip_rate")]
        between = f"{100 * row['flip_low']:.1f} to {100 * row['flip_high']:.1f}"
        better = ["", ""]
        if "low" in row:
            better = [
                f"{100 * row['labels_better_by']:+.1f}",
                f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            ]
        shown.append((row["arm"], row["share"], *numbers, between, *better, f"{row['seconds']:.0f}"))
    show(title, header, shown)


if __name__ == "__main__":
    typer.run(main)
