"""What racing and shared prefixes bring on NSGA-II's own offspring.

    python -m secateur.benchmarks.evaluate_less RUN [--evaluations 300] [--rounds 3] [--json]

RUN is a run folder with a supernet of the space `medium` and a search, whose latency table and precision are used. The
same search (error against encoder parameters, population 20, one seed) is done in four ways, in turn, each time from
nothing: with neither, with shared prefixes, with racing, with both. A few points are evaluated before, which are not
timed: in bfloat16 oneDNN compiles a kernel for each shape it meets.

`layers` and `rows` are shares that were not computed: of the layers that all texts pass through, and of the texts that
a subnetwork sees. What racing stopped is evaluated in full afterwards: `mistaken` is the share of it that the front,
as the search left it, does not dominate.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..evaluation.error import SplitError
from ..evaluation.evaluation import SELECTION
from ..evaluation.evaluator import Evaluated, Evaluator, Outcomes
from ..evaluation.latency import LatencyTable
from ..evaluation.objectives import ERROR
from ..evaluation.pareto import is_front, normalised_hypervolume
from ..run.evaluators import make_evaluator
from ..run.folder import RunFolder
from ..run.latency import searched_latency_table
from ..run.project import open_supernet, open_task
from ..run.settings.search import SearchSettings
from ..run.stages.search_loop import told
from ..search_space import SearchSpace, SubnetMask
from ..searchers import NSGA2, Box
from ..supernet import Supernet
from ..tasks import Task
from .common import JsonOption, ratio, seconds, show, show_json

WAYS = {"neither": (False, False), "prefixes": (True, False), "racing": (False, True), "both": (True, True)}
OBJECTIVES = (ERROR, "encoder_parameters")
SEED, WARM_UP = 0, 16


@dataclass
class Search:
    """A search and what it took; texts are counted once per layer that they pass through."""

    found: list[Evaluated] = field(default_factory=list)
    texts: int = 0
    seen: int = 0
    text_layers: int = 0
    run_layers: int = 0
    seconds: float = 0.0

    @property
    def whole(self) -> np.ndarray:
        """Values `(n, 2)` of what was evaluated on all texts."""
        return _values(one for one in self.found if one.rows is None)

    @property
    def front(self) -> np.ndarray:
        """The front's values `(k, 2)`, sorted."""
        return np.unique(self.whole[is_front(self.whole)], axis=0)

    @property
    def stopped(self) -> list[SubnetMask]:
        """What racing stopped."""
        return [one.mask for one in self.found if one.rows is not None]


@dataclass(frozen=True)
class Bench:
    """What all searches share."""

    supernet: Supernet
    space: SearchSpace
    task: Task
    table: LatencyTable
    settings: SearchSettings

    def evaluator(self, *, prefixes: bool = False, racing: bool = False) -> Evaluator:
        """Return an evaluator that knows nothing yet."""
        settings = self.settings if prefixes else self.settings.model_copy(update={"prefix_mb": 0})
        splits = {SELECTION: self.task.selection}
        return make_evaluator(self.supernet, self.task, splits, self.table, settings, {}, racing=racing)

    def search(self, evaluations: int, *, prefixes: bool, racing: bool) -> Search:
        """Search from nothing."""
        space, done = self.space, Search()
        searcher = NSGA2(Box(space.lower, space.upper, num_objectives=2, seed=SEED, sampler=space.sample_by_size))
        evaluator = self.evaluator(prefixes=prefixes, racing=racing)

        def steps() -> None:
            for _ in range(evaluations):
                x = searcher.ask(1)[0]
                plan = evaluator.plan(space.mask(x))
                if plan is None:
                    found = evaluator.recall(space.mask(x))
                else:
                    outcomes = evaluator.run(plan)
                    _count(done, outcomes, len(self.task.selection), plan.mask.depth)
                    found = evaluator.take(plan, outcomes)
                    done.found += found
                searcher.tell(*told(space, OBJECTIVES, x, found))

        done.seconds = seconds(steps)
        done.run_layers -= sum(
            one.prefixes.traffic.saved for one in evaluator.errors.values() if isinstance(one, SplitError)
        )
        return done


def main(
    run: Annotated[Path, typer.Argument(help="a run folder, searched, with a supernet of the space `medium`")],
    evaluations: Annotated[int, typer.Option(min=20, help="points that each search evaluates")] = 300,
    rounds: Annotated[int, typer.Option(min=1, help="searches of each way; their median counts")] = 1,
    json: JsonOption = False,
) -> None:
    """Search in all ways and print what each brings."""
    folder = RunFolder.open(run)
    task = open_task(folder)
    supernet, space = open_supernet(folder)
    settings = SearchSettings.model_validate(folder.settings("search"))
    bench = Bench(supernet, space, task, searched_latency_table(folder), settings)
    warm = bench.evaluator(prefixes=True, racing=True)
    for x in space.sample_by_size(WARM_UP, np.random.default_rng(SEED + 1)):
        warm(space.mask(x))
    done: dict[str, list[Search]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, (prefixes, racing) in WAYS.items():
            done[way].append(bench.search(evaluations, prefixes=prefixes, racing=racing))
    numbers = {way: _numbers(bench, searches, done["neither"]) for way, searches in done.items()}
    if json:
        show_json({f"{way}_{name}": value for way, values in numbers.items() for name, value in values.items()})
    else:
        show(
            f"{run}: NSGA-II, {evaluations} evaluations, median of {rounds}",
            ("", "seconds", "speed-up", "layers", "rows", "front", "hypervolume", "stopped", "mistaken"),
            [_row(way, values) for way, values in numbers.items()],
        )


def _numbers(bench: Bench, searches: list[Search], neither: list[Search]) -> dict[str, float]:
    """Return what a way took and found, against the plain search."""
    one, plain = searches[0], neither[0]  # the same in all rounds, but for the time
    reference = plain.whole.max(axis=0)
    volumes = [normalised_hypervolume(s.whole, np.zeros(2), reference) for s in (one, plain)]
    times, plain_times = ([search.seconds for search in some] for some in (searches, neither))
    return {
        "seconds": statistics.median(times),
        "speed_up": ratio(plain_times, times)[1],
        "layers_saved": 1 - one.run_layers / one.text_layers,
        "rows_saved": 1 - one.seen / one.texts,
        "same_front": float(np.array_equal(one.front, plain.front)),
        "hypervolume_change_percent": 100 * (volumes[0] / volumes[1] - 1),
        "stopped": len(one.stopped) / len(one.found),
        "mistaken": _mistaken(bench, one),
    }


def _mistaken(bench: Bench, search: Search) -> float:
    """Return the share of the stopped subnetworks that belong on the front, evaluated on all texts."""
    evaluator = bench.evaluator()
    wrong = 0
    for mask in search.stopped:
        values = evaluator.matrix([mask], OBJECTIVES)
        wrong += not (search.front <= values).all(axis=1).any()
    return wrong / max(1, len(search.stopped))


def _row(way: str, values: dict[str, float]) -> tuple[str, ...]:
    return (
        way,
        f"{values['seconds']:.1f}",
        f"{values['speed_up']:.2f}x",
        f"{values['layers_saved']:.1%}",
        f"{values['rows_saved']:.1%}",
        "the same" if values["same_front"] else "another",
        f"{values['hypervolume_change_percent']:+.2f} %",
        f"{values['stopped']:.1%}",
        f"{values['mistaken']:.1%}",
    )


def _count(done: Search, outcomes: Outcomes, texts: int, depth: int) -> None:
    """Add a pass: the depths that were left after each look say how deep it went from there."""
    rows = {d: texts if o.rows is None else o.rows for of in outcomes.of.values() for d, o in of.items()}
    done.texts += texts
    done.seen += max(rows.values())
    done.text_layers += texts * depth
    before = 0
    for end in sorted(set(rows.values())):
        done.run_layers += (end - before) * max(d for d, seen in rows.items() if seen >= end)
        before = end


def _values(found: Iterable[Evaluated]) -> np.ndarray:
    return np.array([[one.values[name] for name in OBJECTIVES] for one in found])


if __name__ == "__main__":
    typer.run(main)
