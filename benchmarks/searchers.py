"""Which searcher finds the front with the fewest evaluations, on spaces whose front is known.

    python -m secateur.benchmarks.searchers [--searchers nsga2,gp] [--seeds 20] [--plot FILE.png] [--json]

The spaces are the tables that `benchmarks/tabulate.py` made: every point of `small` (neurons in steps of 32), MiniLM on
SST-2 and RTE, selection split. Printed is the hypervolume regret of (error, encoder parameters), the median over the
seeds: 1 - the volume that the searcher's points cover / the volume of the true front, with the reference of no encoder
at all (its error) and the whole network (its size); and the searcher's own seconds per suggestion.

An evaluation is counted in two ways. `alone`: the searcher is told only the point it asked for. `shared`: it is told
all depths that the same pass gives, as `secateur search` does, and a pass counts once.

Runs that are done are kept in the file of `--results` and are not run again; `--jobs` of them run at the same time.
"""

from __future__ import annotations

import json as json_module
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.parquet as pq
import typer

from ..cli.console import progress
from ..errors import unknown_name
from ..evaluation.pareto import is_front, normalised_hypervolume
from ..search_space import EncoderShape, Small
from ..searchers import SEARCHERS, Box, make_searcher
from .common import JsonOption, show

TABLES = Path(__file__).parent / "tables"
TASKS = ("sst2", "rte")
COUNTS = (50, 100, 200, 500)
FIRST_SEED = 100  # the defaults were chosen on seeds 0 to 19
MODES = ("alone", "shared")
SLOW = ("gp", "random_scalarization", "ehvi")
# It chooses points as `random` does; what it is for, stopping trainings, a table does not have.
LEFT_OUT = ("moasha",)
# The shape that the tables belong to.
MINILM = EncoderShape(num_layers=6, num_heads=12, head_size=32, hidden_size=384, intermediate_size=1536)
OBJECTIVES = ("error", "encoder_parameters")


class TabularSpace:
    """Every point of a `small` space with its values.

    Attributes:
        lower, upper: `(3,)` the box: layers, heads, number of the step of neurons.
        values: `(layers + 1, heads, steps, m)`.
    """

    def __init__(self, path: Path, objectives: Sequence[str] = OBJECTIVES) -> None:
        table = pq.read_table(path).to_pydict()
        self.step = min(table["neurons"])
        xs = np.stack([table["layers"], table["heads"], np.array(table["neurons"]) // self.step], axis=1)
        self.lower, self.upper = xs.min(axis=0), xs.max(axis=0)
        self.values = np.full((*(self.upper - self.lower + 1), len(objectives)), np.nan)
        self.values[tuple((xs - self.lower).T)] = np.stack([table[name] for name in objectives], axis=1)
        everything = self.values.reshape(-1, len(objectives))
        self.ideal = everything.min(axis=0)
        self.reference = np.array([self.values[0, 0, 0, 0], self.values[-1, -1, -1, 1]])
        self.front = everything[is_front(everything)]
        self.volume = normalised_hypervolume(self.front, self.ideal, self.reference)

    def at(self, xs: np.ndarray) -> np.ndarray:
        """Return the values `(n, m)` of points `(n, 3)`."""
        return self.values[tuple((np.asarray(xs) - self.lower).T)]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Draw points of uniform size, as `secateur search` does, on the grid."""
        xs = Small(MINILM).sample_by_size(n, rng)
        xs[:, 2] = np.ceil(xs[:, 2] / self.step)
        return xs

    def regret(self, values: np.ndarray) -> float:
        """Return 1 - the share of the true front's volume that points cover."""
        return 1 - normalised_hypervolume(values, self.ideal, self.reference) / self.volume


@dataclass(frozen=True)
class Result:
    """One search: its regrets after the counts it reached, and its own seconds per suggestion."""

    task: str
    searcher: str
    mode: str
    seed: int
    regrets: dict[str, float]
    seconds: float


@cache
def tabular_space(task: str) -> TabularSpace:
    """Read a task's table once per process."""
    return TabularSpace(TABLES / f"{task}.parquet")


def search(task: str, name: str, mode: str, seed: int, evaluations: int) -> Result:
    """Run one search on a table."""
    import torch

    torch.set_num_threads(1)
    space = tabular_space(task)
    box = Box(space.lower, space.upper, num_objectives=len(OBJECTIVES), seed=seed, sampler=space.sample)
    searcher = make_searcher(name, box)
    found: list[np.ndarray] = []
    regrets: dict[str, float] = {}
    seconds = 0.0
    for done in range(1, evaluations + 1):
        begin = time.perf_counter()
        x = searcher.ask(1)[0]
        depths = [int(x[0])] if mode == "alone" else range(int(x[0]), -1, -1)
        xs = np.array([[depth, *x[1:]] for depth in depths])
        searcher.expect(xs[1:])
        seconds += time.perf_counter() - begin
        values = space.at(xs)
        begin = time.perf_counter()
        searcher.tell(xs, values)
        seconds += time.perf_counter() - begin
        found += list(values)
        if done in COUNTS:
            regrets[str(done)] = space.regret(np.array(found))
    return Result(task, name, mode, seed, regrets, seconds / evaluations)


def main(
    searchers: Annotated[str, typer.Option(help="comma-separated; all if not given")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="searches of each")] = 20,
    evaluations: Annotated[int, typer.Option(min=1, help="at most so many in a search")] = 500,
    slow: Annotated[int, typer.Option(min=1, help="at most so many with gp, random_scalarization and ehvi")] = 200,
    results: Annotated[Path, typer.Option(help="keeps what is done")] = Path("runs/searchers.jsonl"),
    jobs: Annotated[int, typer.Option(min=1, help="searches at the same time")] = 2,
    plot: Annotated[Path | None, typer.Option(help="draw the regrets into this file")] = None,
    json: JsonOption = False,
) -> None:
    """Run the searches that are not done yet and print the regrets."""
    known = [name for name in SEARCHERS if name not in LEFT_OUT]
    names = [name.strip() for name in searchers.split(",")] if searchers else known
    for name in names:
        if name not in known:
            raise unknown_name("searcher", name, known)
    done = {(r.task, r.searcher, r.mode, r.seed): r for r in read(results)}
    wanted = [
        (task, name, mode, seed)
        for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        for task in TASKS
        for name in names
        for mode in MODES
    ]
    todo = [one for one in wanted if one not in done]
    results.parent.mkdir(parents=True, exist_ok=True)
    with (
        results.open("a") as file,
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool,
        progress("searches") as tick,
    ):
        futures = [pool.submit(search, *one, min(evaluations, slow) if one[1] in SLOW else evaluations) for one in todo]
        for count, future in enumerate(as_completed(futures)):
            result = future.result()
            done[(result.task, result.searcher, result.mode, result.seed)] = result
            file.write(json_module.dumps(asdict(result)) + "\n")
            file.flush()
            tick(count + 1, len(futures))
    summary = summarise([done[one] for one in wanted], names)
    if plot is not None:
        draw(summary, plot)
    if json:
        print(json_module.dumps(summary))
    else:
        for task in TASKS:
            print_task(task, summary[task], seeds)


def read(path: Path) -> list[Result]:
    """Return the searches that are done; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [Result(**json_module.loads(line)) for line in lines if line.endswith("\n")]


Summary = dict[str, dict[str, dict[str, float]]]


def summarise(results: Sequence[Result], names: Sequence[str]) -> Summary:
    """Return medians over the seeds, `{task: {searcher: {"regret_200": ..., "shared_regret_200": ..., ...}}}`."""
    summary: Summary = {}
    for task in TASKS:
        for name in names:
            mine = [r for r in results if (r.task, r.searcher) == (task, name)]
            row = {"seconds_per_suggestion": statistics.median(r.seconds for r in mine)}
            for mode, prefix in zip(MODES, ("", "shared_"), strict=True):
                searches = [r.regrets for r in mine if r.mode == mode]
                for count in map(str, COUNTS):
                    if all(count in regrets for regrets in searches):
                        row[f"{prefix}regret_{count}"] = statistics.median(r[count] for r in searches)
            summary.setdefault(task, {})[name] = row
    return summary


def print_task(task: str, rows: dict[str, dict[str, float]], seeds: int) -> None:
    """Print one task's searchers, the best first."""
    keys = [f"{prefix}regret_{count}" for prefix in ("", "shared_") for count in COUNTS]
    header = [key.replace("regret_", "").replace("_", " ") for key in keys]
    ordered = sorted(rows, key=lambda name: rows[name].get("regret_200", 1.0))
    show(
        f"{task}: hypervolume regret in % of the true front's, median of {seeds} seeds, after so many evaluations",
        ("", *header, "ms each"),
        [
            (
                name,
                *(f"{100 * rows[name][key]:.2f}" if key in rows[name] else "" for key in keys),
                f"{1e3 * rows[name]['seconds_per_suggestion']:.1f}",
            )
            for name in ordered
        ],
    )


def draw(summary: Summary, path: Path) -> None:
    """Draw the regrets over the evaluations: a row per task, a column per way of counting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 8), layout="constrained")
    grid = figure.subplots(len(TASKS), len(MODES), sharex=True, sharey=True, squeeze=False)
    for axes_row, task in zip(grid, TASKS, strict=True):
        for axes, mode in zip(axes_row, MODES, strict=True):
            prefix = "" if mode == "alone" else "shared_"
            for number, (name, row) in enumerate(summary[task].items()):
                points = [(count, 100 * row[key]) for count in COUNTS if (key := f"{prefix}regret_{count}") in row]
                style = "-" if number < 10 else "--"
                axes.plot(*zip(*points, strict=True), style, marker=".", label=name, color=f"C{number % 10}")
            axes.set(
                xscale="log",
                yscale="log",
                title=f"{task}, {'each point alone' if mode == 'alone' else 'all depths told'}",
            )
            axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
    for axes in grid[-1]:
        axes.set_xlabel("evaluations")
    for axes in grid[:, 0]:
        axes.set_ylabel("hypervolume regret, %")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside right center")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    typer.run(main)
