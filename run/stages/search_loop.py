"""The search itself: ask, have it evaluated, tell, store; whatever ends it, it goes on where it was."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.evaluator import Evaluated, Evaluator, Outcomes, Pass
from ...evaluation.farm import Farm
from ...evaluation.racing import Outcome
from ...evaluation.weights import Weights
from ...search_space import SearchSpace, SubnetMask, WithVocabularies
from ...searchers import Searcher
from ..telling import SILENT, Teller, Ticker

Point = NDArray[np.int64]
RACED = "selection (raced)"  # the split of estimates, which must enter no front


@dataclass(frozen=True)
class Plan:
    """What a search looks for, and the names it is stored under."""

    space: SearchSpace | WithVocabularies
    objectives: tuple[str, ...]
    method: str
    seed: int
    state_name: str
    weights: Weights = Weights.SUPERNET


@dataclass(frozen=True)
class _Asked:
    """A point whose results are not told yet.

    `keys` are those of the subnetworks whose values come with it: its own, and its other depths.
    """

    x: Point
    mask: SubnetMask
    keys: frozenset[str]


class SearchLoop:
    """One driver owns searcher, evaluations and archive; a farm runs the passes.

    Results and the searcher's state, with the points that are asked but not told, are stored in one transaction. So a
    search that ends at any moment loses only passes under way, and those are submitted first when it goes on. Nothing
    is run twice: a point whose values come with another's waits for that one.

    Args:
        archive: takes the results.
        searcher: not asked or told anything yet.
        evaluator: plans passes and takes their results.
        farm: runs them; a local one, which has one point at a time, makes the search repeat itself exactly.
        plan: what is looked for.
        tell: told of evaluations that failed.
    """

    def __init__(
        self,
        archive: Archive,
        searcher: Searcher,
        evaluator: Evaluator,
        farm: Farm[Pass, Outcomes],
        plan: Plan,
        tell: Teller = SILENT,
    ) -> None:
        self._tell = tell
        self._archive, self._searcher, self._evaluator, self._farm, self._plan = (
            archive,
            searcher,
            evaluator,
            farm,
            plan,
        )
        self._pending: dict[int, _Asked] = {}  # by number, in the order they were asked
        self._under_way: dict[int, Pass] = {}
        self._told, self._next = 0, 0

    def run(self, budget: int, tick: Ticker) -> None:
        """Search until `budget` points are told, those of earlier calls and processes included."""
        self._restore()
        self._settle(budget, tick)
        while True:
            capacity = self._farm.capacity
            while len(self._pending) < capacity and self._told + len(self._pending) < budget:
                self._add(self._ask())
                self._settle(budget, tick)
            if not self._pending:
                return
            done = self._farm.next()
            run = self._under_way.pop(done.number)
            if done.result is None:
                self._tell.say(f"the evaluation of {run.mask.key} failed for good and is recorded so: {done.failure}")
            found = self._evaluator.take(*((run, done.result) if done.result else _failed(run)))
            self._record(done.number, found, budget, tick)
            self._settle(budget, tick)

    def _ask(self) -> Point:
        x = self._searcher.ask(1)[0]
        if not self._evaluator.all_depths:
            return x
        cuts = [self._plan.space.truncated(x, depth) for depth in range(self._plan.space.mask(x).depth)]
        coming = [cut for cut in cuts if cut is not None]
        if coming:
            self._searcher.expect(coming)
        return x

    def _add(self, x: Point) -> None:
        mask = self._plan.space.mask(x)
        depths = range(mask.depth + 1) if self._evaluator.all_depths else (mask.depth,)
        keys = frozenset(mask.truncated(depth).key for depth in depths)
        self._pending[self._next] = _Asked(x, mask, keys)
        self._next += 1

    def _settle(self, budget: int, tick: Ticker) -> None:
        """Submit what waits, record what is known already, leave what comes with another that is under way."""
        for number, asked in list(self._pending.items()):
            if number in self._under_way:
                continue
            run = self._evaluator.plan(asked.mask)
            if run is None:
                self._record(number, self._evaluator.recall(asked.mask), budget, tick)
            elif not any(asked.mask.key in self._pending[other].keys for other in self._under_way):
                self._under_way[number] = run
                self._farm.submit(number, run)

    def _record(self, number: int, found: list[Evaluated], budget: int, tick: Ticker) -> None:
        asked = self._pending.pop(number)
        self._searcher.tell(*told(self._plan.space, self._plan.objectives, asked.x, found))
        self._told += 1
        rows = [self._row(one, asked.x) for one in found]
        state = pack(self._told, [other.x for other in self._pending.values()], self._searcher.state())
        self._archive.add(rows, searcher_state=(self._plan.state_name, state))
        workers = f", {self._farm.workers} workers" if self._farm.workers else ""
        tick(self._told, budget, f"{len(self._archive)} evaluated{workers}")

    def _row(self, one: Evaluated, x: Point) -> Evaluation:
        return Evaluation(
            key=one.mask.key,
            mask=one.mask,
            x=tuple(int(v) for v in x) if one.asked else None,
            space=self._plan.space.name,
            method=self._plan.method,
            seed=self._plan.seed,
            split=SELECTION if one.rows is None else RACED,
            values=one.values,
            seconds=one.seconds,
            asked=one.asked,
            weights=self._plan.weights,
        )

    def _restore(self) -> None:
        state = self._archive.searcher_state(self._plan.state_name)
        if state is not None:
            self._told, points, searcher = unpack(state, len(self._searcher.box.lower))
            self._searcher.restore(searcher)
            for x in points:
                self._add(x)


def known_values(archive: Archive, weights: Weights = Weights.SUPERNET) -> dict[str, dict[str, float]]:
    """Return, by key, what is known of subnetworks with such weights on the selection split, estimates included."""
    rows = [e for split in (RACED, SELECTION) for e in archive.evaluations(split=split, weights=weights)]
    return {e.key: e.values for e in rows}


def _failed(run: Pass) -> tuple[Pass, Outcomes]:
    """Return the outcome of a pass that never came to its end: no number for its mask, nothing for its other depths."""
    alone = replace(run, depths=run.depths[:1])
    return alone, Outcomes({SELECTION: {alone.depths[0]: Outcome(math.nan)}}, math.nan)


def told(
    space: SearchSpace | WithVocabularies, names: Sequence[str], x: Point, found: Sequence[Evaluated]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return points `(n, d)` and values `(n, m)` to tell a searcher: `x` first, then its other depths.

    Depths that are no point of the space were evaluated on the way, and are left out.
    """
    points = [x if one.asked else space.truncated(x, one.mask.depth) for one in found]
    pairs = [(x, one.values) for x, one in zip(points, found, strict=True) if x is not None]
    return np.array([x for x, _ in pairs]), np.array([[values[name] for name in names] for _, values in pairs])


def pack(told: int, pending: Sequence[Point], searcher: bytes) -> bytes:
    """Return a search's state: how many points are told, those asked but not told, and the searcher's state."""
    buffer = io.BytesIO()
    points = np.array(pending, dtype=np.int64)
    np.savez_compressed(buffer, told=told, pending=points, searcher=np.frombuffer(searcher, np.uint8))
    return buffer.getvalue()


def unpack(state: bytes, dimensions: int) -> tuple[int, NDArray[np.int64], bytes]:
    """Return what :func:`pack` was given, points as `(n, dimensions)`.

    Raises:
        InputError: damaged bytes.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            return int(file["told"]), file["pending"].reshape(-1, dimensions), file["searcher"].tobytes()
    except Exception as error:  # a damaged zip file fails in many ways
        raise InputError(f"the saved state of the search is damaged ({error}); start the search again") from error
