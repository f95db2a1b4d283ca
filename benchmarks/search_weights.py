"""What a search is to look at: how well errors before a recovery tell the order of those after it.

    python -m secateur.benchmarks.search_weights RUN [--count 30] [--steps 60] [--rate 1e-4] [--seed 0]
        [--ship refit,supernet_refit] [--results runs/search-weights.jsonl] [--json]

RUN is the folder of a run with a supernet of the space `small` or `medium`. Points of its space are drawn uniformly in
size. Of each there is the encoder's size, and the error on the selection split of

- `slices`: the fine-tuned model's first units, in the order that solved maps want them in, as they are cut;
- `slices_supernet_order`: the same in the supernet's order of units;
- `solved`: the first with outgoing maps solved for from products that are computed once (`search --weights solved`);
- `refit`: the first refitted block by block to the fine-tuned model, as an export does;
- `supernet`: the trained supernet's slices;
- `supernet_refit`: these refitted to the whole supernet, as an export does.

What is shipped is `refit` and `supernet_refit` after a recovery of so many steps, distilled from the fine-tuned model.
Printed is Kendall's tau of each number with the error of what is shipped, with the 95 % interval of a bootstrap over
the points: overall, and the mean over thirds of similar size, for size alone tells much of the order. CPU seconds are
of one thread. What is done is kept in the file of `--results` and not repeated.
"""

from __future__ import annotations

import json as json_module
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from scipy.stats import kendalltau
from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.error import SplitError
from ..evaluation.model_error import model_error
from ..evaluation.objectives import ERROR
from ..run.folder import RunFolder, file_digest
from ..run.project import load_supernet, on_device, open_supernet, open_task
from ..run.scores import report_errors
from ..run.settings import RecoverOptions
from ..run.ship.recovery import distilled
from ..run.ship.refit import whole_sums
from ..run.stages.solved import made_ready
from ..run.stages.supernet import importance_scores
from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.extraction import extract, kept_layers
from ..supernet.precision import resolve_precision
from ..supernet.refit import WholeSums, refit
from ..supernet.reordering import reorder
from ..supernet.stored.storage import load_model
from .common import JsonOption, Known, show

SIZE = "encoder_parameters"
CUT = ("slices", "slices_supernet_order", "solved", "supernet")
SHIPPED = ("refit", "supernet_refit")
_THIRDS = 3
_RESAMPLES = 2000


class Sources:
    """The models of a run that subnetworks are cut from, each made when it is first needed."""

    def __init__(self, folder: RunFolder, steps: int, rate: float) -> None:
        self.folder, self.task, self.seed = folder, open_task(folder), folder.project.seed
        self.options = RecoverOptions(steps=steps, learning_rate=rate)
        self.supernet, self.space = open_supernet(folder)

    @cached_property
    def solved(self) -> Supernet:
        """The fine-tuned model with products of its units."""
        return made_ready(on_device(load_supernet(self.folder.finetuned)), self.task, self.seed)

    @cached_property
    def ordered(self) -> Supernet:
        """The fine-tuned model in the supernet's order of units."""
        net = on_device(load_supernet(self.folder.finetuned))
        name = self.folder.settings("supernet")["importance"]
        if name != "none":
            reorder(net, importance_scores(self.folder, net, self.task, name))
        return net

    @cached_property
    def _plain(self) -> Supernet:
        return Supernet(self.solved.model)

    @cached_property
    def _sums(self) -> dict[str, WholeSums]:
        wholes = {"refit": self._plain, "supernet_refit": self.supernet}
        return {name: whole_sums(whole, self.task, self.seed) for name, whole in wholes.items()}

    @cached_property
    def _errors(self) -> dict[str, SplitError]:
        supernets = {
            "slices": self._plain,
            "slices_supernet_order": self.ordered,
            "solved": self.solved,
            "supernet": self.supernet,
        }
        dtype = resolve_precision("auto", self.supernet.device)
        task = self.task
        return {
            name: SplitError(net, task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)
            for name, net in supernets.items()
        }

    def refitted(self, name: str, mask: SubnetMask) -> PreTrainedModel:
        """Return a subnetwork of the fine-tuned model or the supernet, refitted to the whole of it."""
        sums = self._sums[name]
        model = extract(sums.whole.model, mask)
        refit(model, mask, sums)
        return model

    def error(self, model: PreTrainedModel) -> float:
        """Return a model's error on the selection split."""
        task, dtype = self.task, resolve_precision("auto", self.supernet.device)
        return model_error(model.eval(), task.selection, task.metric, pad_token_id=task.pad_token_id, dtype=dtype)

    def cut(self, name: str, mask: SubnetMask) -> dict[str, float]:
        """Return the error of slices, and its CPU seconds, solving included."""
        one = self._errors[name]  # what is made once is not timed
        begin = time.process_time()
        error = one.errors(mask, (mask.depth,))[mask.depth]
        return {"error": error, "seconds": time.process_time() - begin}

    def shipped(self, name: str, mask: SubnetMask) -> dict[str, float]:
        """Return the error after a refit, with its CPU seconds, and the errors after a recovery on both splits."""
        _ = self._sums
        begin = time.process_time()
        model = self.refitted(name, mask)
        before = self.error(model)
        seconds = time.process_time() - begin
        teacher = load_model(self.folder.finetuned)
        with tempfile.TemporaryDirectory() as state:
            layers = kept_layers(mask)
            distilled(teacher, model, self.task, self.options, self.seed, Path(state), lambda _: None, layers)
        recovery = time.process_time() - begin - seconds
        after = {"after": self.error(model), "report": report_errors(model, self.task)[ERROR], "recovery": recovery}
        return {"error": before, "seconds": seconds} | after


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau of one number with the error of what is shipped, each with a 95 % interval."""

    tau: float
    low: float
    high: float
    within: float
    within_low: float
    within_high: float


def agreement(x: NDArray[np.float64], y: NDArray[np.float64], size: NDArray[np.float64]) -> Agreement:
    """Compare two numbers of the same points `(n,)`, overall and within thirds of similar size."""

    def within(rows: NDArray[np.intp]) -> float:
        groups = np.array_split(rows[np.argsort(size[rows], kind="stable")], _THIRDS)
        return float(np.nanmean([_tau(x[group], y[group]) for group in groups]))

    rng, rows = np.random.default_rng(0), np.arange(len(x))
    drawn = [rng.integers(0, len(x), len(x)) for _ in range(_RESAMPLES)]
    low, high = np.nanquantile([_tau(x[some], y[some]) for some in drawn], (0.025, 0.975))
    within_low, within_high = np.nanquantile([within(some) for some in drawn], (0.025, 0.975))
    return Agreement(_tau(x, y), float(low), float(high), within(rows), float(within_low), float(within_high))


def _tau(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of points that are all the same nothing can be said: NaN
        return float(kendalltau(x, y)[0])  # pyright: ignore[reportArgumentType]


def main(
    run: Annotated[Path, typer.Argument(help="a run folder with a supernet")],
    count: Annotated[int, typer.Option(help="points")] = 30,
    steps: Annotated[int, typer.Option(help="of a recovery")] = 60,
    rate: Annotated[float, typer.Option(help="of a recovery")] = 1e-4,
    seed: Annotated[int, typer.Option(help="of the points")] = 0,
    ship: Annotated[str, typer.Option(help="what is shipped, comma-separated")] = ",".join(SHIPPED),
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/search-weights.jsonl"),
    json: JsonOption = False,
) -> None:
    """Draw points, look at them in each way, ship them, compare the orders.

    Raises:
        InputError: `ship` names something else.
    """
    if unknown := set(ship.split(",")) - set(SHIPPED):
        raise InputError(f"`ship` is of {', '.join(SHIPPED)}, got {', '.join(sorted(unknown))}")
    folder, known = RunFolder.open(run), Known(results)
    sources = Sources(folder, steps, rate)
    basis = f"{sources.task.name} {file_digest(folder.supernet / 'model.safetensors')[:12]}"
    masks = [sources.space.mask(x) for x in sources.space.sample_by_size(count, np.random.default_rng(seed))]

    def ask(what: str, name: str, make: Callable[[SubnetMask], dict[str, float]]) -> list[dict[str, float]]:
        key = {"basis": basis, "what": what, "of": name}
        return [known.find(key | {"key": mask.key}, partial(make, mask)) for mask in masks]

    before = {name: ask("cut", name, partial(sources.cut, name)) for name in CUT}
    shipped = {name: ask(f"{steps} {rate:g}", name, partial(sources.shipped, name)) for name in ship.split(",")}
    before |= shipped
    size = np.array([mask.encoder_parameters(sources.supernet.shape) for mask in masks], np.float64)
    numbers = {SIZE: -size} | {name: _column(rows, "error") for name, rows in before.items()}
    numbers |= {f"{name}, recovered": _column(rows, "after") for name, rows in shipped.items()}
    found = [
        {"shipped": name, "split": split, "of": of} | vars(agreement(x, _column(rows, column), size))
        for name, rows in shipped.items()
        for split, column in (("selection", "after"), ("report", "report"))
        for of, x in numbers.items()
        if (split, of) != ("selection", f"{name}, recovered")
    ]
    errors = {name: float(np.mean(x)) for name, x in numbers.items() if name != SIZE}
    seconds = {name: float(np.median(_column(rows, "seconds"))) for name, rows in before.items()}
    if json:
        print(json_module.dumps({"taus": found, "errors": errors, "seconds": seconds}))
        return
    title = f"{sources.task.name}: {len(masks)} points of {sources.space.name}, {steps} steps of recovery"
    for name in shipped:
        for split in ("selection", "report"):
            rows = [row for row in found if (row["shipped"], row["split"]) == (name, split)]
            _print(f"{title}; order of {name}, recovered, on the {split} split", rows, errors, seconds)


def _column(rows: list[dict[str, float]], name: str) -> NDArray[np.float64]:
    return np.array([row[name] for row in rows], np.float64)


def _print(title: str, rows: list[dict], errors: Mapping[str, float], seconds: Mapping[str, float]) -> None:
    def cells(row: dict) -> tuple[str, ...]:
        name = row["of"]
        return (
            name,
            f"{row['tau']:.2f} ({row['low']:.2f} to {row['high']:.2f})",
            f"{row['within']:.2f} ({row['within_low']:.2f} to {row['within_high']:.2f})",
            f"{100 * errors[name]:.1f}" if name in errors else "",
            f"{seconds[name]:.1f}" if name in seconds else "",
        )

    show(title, ("looked at", "tau", "tau within thirds of size", "mean error, %", "CPU s"), [*map(cells, rows)])


if __name__ == "__main__":
    torch.set_num_threads(torch.get_num_threads())
    typer.run(main)
