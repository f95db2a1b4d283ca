"""In whatever order results come, and wherever a search is cut off: the same evaluations, each once."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress

import numpy as np
import pytest
from secateur.cli.console import Ticker
from secateur.errors import InputError
from secateur.evaluation.archive import Archive
from secateur.evaluation.error import SplitError
from secateur.evaluation.evaluator import Evaluated, Evaluator, Outcomes, Pass
from secateur.evaluation.farm import Done, Farm
from secateur.evaluation.objectives import encoder_parameters
from secateur.run.stages.search_loop import Plan, SearchLoop, known_values, pack, told, unpack
from secateur.search_space import SPACES, SubnetMask
from secateur.searchers import Box, make_searcher
from secateur.supernet import Supernet
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


class PulledOut(Exception):
    """The machine's plug."""


class Disorderly(Farm[Pass, Outcomes]):
    """Runs passes in this process, several at a time, and gives back any of them next.

    Args:
        evaluator: runs them.
        capacity: how many at a time.
        seed: of the order.
        failing: keys of masks whose pass fails for good.
        ends_after: so many results the plug is pulled.
    """

    workers = 2
    capacity = 1

    def __init__(
        self,
        evaluator: Evaluator,
        capacity: int,
        seed: int,
        *,
        failing: frozenset[str] = frozenset(),
        ends_after: float = math.inf,
    ) -> None:
        self.capacity = capacity
        self.run: Counter[str] = Counter()
        self._evaluator, self._failing, self._ends_after = evaluator, failing, ends_after
        self._under_way: dict[int, Pass] = {}
        self._rng = np.random.default_rng(seed)

    def submit(self, number: int, job: Pass) -> None:
        assert number not in self._under_way
        self._under_way[number] = job
        assert len(self._under_way) <= self.capacity

    def next(self) -> Done[Outcomes]:
        if self._ends_after == 0:
            raise PulledOut
        self._ends_after -= 1
        number = int(self._rng.choice(list(self._under_way)))
        job = self._under_way.pop(number)
        self.run[job.mask.key] += 1
        if job.mask.key in self._failing:
            return Done(number, None, "it always does")
        return Done(number, self._evaluator.run(job))


BUDGET = 30


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(tiny_model("bert"))


@pytest.fixture(scope="module")
def error(supernet) -> SplitError:
    task = toy_task()
    return SplitError(supernet, task.selection, task.metric, pad_token_id=task.pad_token_id)


@pytest.fixture
def search(supernet, error, tmp_path):
    """Search, or go on searching, in a new archive for each name; return the farm."""

    def run(name: str, *, method: str = "random", budget: int = BUDGET, **farming) -> Disorderly:
        space = SPACES["small"](supernet.shape)
        with Archive(tmp_path / name) as archive:
            evaluator = Evaluator({"selection": error}, [encoder_parameters(supernet)], known=known_values(archive))
            farm = Disorderly(evaluator, **farming)
            box = Box(space.lower, space.upper, num_objectives=2, seed=3, sampler=space.sample_by_size)
            searcher = make_searcher(method, box)
            plan = Plan(space, ("error", "encoder_parameters"), method, 3, "state")
            with suppress(PulledOut):
                SearchLoop(archive, searcher, evaluator, farm, plan).run(budget, Ticker("test", None))
            return farm

    return run


@pytest.fixture
def found(tmp_path):
    """Return what an archive holds, in an order of its own."""

    def read(name: str) -> list[tuple]:
        with Archive(tmp_path / name) as archive:
            all_of_it = archive.evaluations()
        return sorted((e.key, e.x, e.asked, e.split, *map(repr, sorted(e.values.items()))) for e in all_of_it)

    return read


@pytest.mark.parametrize("capacity", [2, 7])
def test_any_order_brings_the_same(search, found, capacity):
    search("calm", capacity=1, seed=0)
    for seed in range(2):
        farm = search(f"{seed}", capacity=capacity, seed=seed)
        assert found(f"{seed}") == found("calm")
        assert set(farm.run.values()) == {1}
    assert len(found("calm")) > BUDGET  # some came for free


@pytest.mark.parametrize("method", ["random", "nsga2", "local"])
def test_what_is_expected_is_not_asked(method):
    """A searcher looks for other points while values are under way that will come unasked."""
    searcher = make_searcher(method, Box([0, 0], [5, 5], num_objectives=2, seed=0))
    asked = searcher.ask(3).tolist()
    expected = [[x, y] for x in range(6) for y in range(5) if [x, y] not in asked]
    searcher.expect(expected)
    rest = searcher.ask(36 - len(expected) - 3).tolist()
    assert not [x for x in rest if x in expected]
    with pytest.raises(InputError, match="a point expected has coordinate 1 = 6 outside"):
        searcher.expect([[0, 6]])


@pytest.mark.parametrize("capacity", [1, 5])
@pytest.mark.parametrize("method", ["random", "nsga2"])
def test_a_search_cut_off_again_and_again(search, found, method, capacity):
    """Nothing is lost and nothing told is run again; with one point at a time the search is the same as in one go."""
    runs: Counter[str] = Counter()
    for ends_after in (0, 3, 1, 7, 11):
        runs += search("cut", method=method, capacity=capacity, seed=1, ends_after=ends_after).run
    runs += search("cut", method=method, capacity=capacity, seed=1).run
    assert set(runs.values()) == {1}
    if capacity == 1 or method == "random":
        search("calm", method=method, capacity=1, seed=0)
        assert found("cut") == found("calm")


def test_more_budget_continues(search, found):
    search("parts", capacity=4, seed=1, budget=20)
    search("parts", capacity=4, seed=2, budget=20)  # complete
    search("parts", capacity=4, seed=3)
    search("whole", capacity=4, seed=1)
    assert found("parts") == found("whole")


def test_what_fails_for_good_is_recorded_and_costs_nobody_else(search, found, supernet, tmp_path):
    """The whole network fails: its other depths, which would have come with it, are still evaluated when asked."""
    whole = SubnetMask.full(supernet.shape)
    search("calm", capacity=1, seed=0)
    farm = search("failing", capacity=4, seed=5, failing=frozenset({whole.key}))
    assert farm.run[whole.key] == 1
    with Archive(tmp_path / "failing") as archive:
        (failed,) = [e for e in archive.evaluations() if math.isnan(e.values["error"])]
        assert failed.key == whole.key
        assert failed.asked
        assert failed.values["encoder_parameters"] == whole.encoder_parameters(supernet.shape)
        assert whole.key not in {e.key for e in archive.front(("error", "encoder_parameters"))}
    others = [row for row in found("calm") if row[0] != whole.key and row[2]]
    assert [row for row in found("failing") if row[0] != whole.key and row[2]] == others
    # It is not tried again when the search goes on.
    assert not search("failing", capacity=4, seed=6, budget=BUDGET + 5).run[whole.key]


def test_all_values_of_a_pass_are_told_what_was_asked_first(supernet):
    space = SPACES["medium"](supernet.shape)
    x = np.array([2, 1, 4, 8, 24, 3])
    mask = space.mask(x)
    found = [Evaluated(mask.truncated(d), {"error": d / 10, "macs": d}, 0.0, asked=d == 3) for d in (3, 2, 0)]
    points, values = told(space, ("macs", "error"), x, found)
    assert points.tolist() == [[2, 1, 4, 8, 24, 3], [2, 1, 0, 8, 24, 0], [0] * 6]
    assert values.tolist() == [[3, 0.3], [2, 0.2], [0, 0]]


def test_the_state_of_a_search():
    points = np.array([[1, 2, 3], [4, 5, 6]])
    told_, pending, searcher = unpack(pack(17, list(points), b"PK\0state"), 3)
    assert (told_, pending.tolist(), searcher) == (17, points.tolist(), b"PK\0state")
    assert unpack(pack(0, [], b""), 5)[1].shape == (0, 5)
    with pytest.raises(InputError, match="the saved state of the search is damaged"):
        unpack(pack(17, list(points), b"")[:50], 3)
