"""What MO-ASHA stops; the points it asks for are tested with all searchers' in test_contract."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from secateur.errors import InputError
from secateur.evaluation.pareto import is_front
from secateur.searchers import MOASHA, Box
from secateur.searchers.results import preference

LOWER, UPPER = np.zeros(2, dtype=int), np.full(2, 99)


def make(num_objectives=2, seed=0):
    return MOASHA(Box(LOWER, UPPER, num_objectives=num_objectives, seed=seed))


def decide(searcher, rows, epoch=1, first=0):
    """Bring candidates to a rung one after another; return who goes on."""
    return [searcher.keep_going([0, first + i], epoch, row) for i, row in enumerate(rows)]


def test_one_objective_is_successive_halving():
    draw = np.random.default_rng(0).permutation(30) / 7.0
    going = decide(make(1), draw[:, None])
    for i in range(30):
        better = int((draw[:i] < draw[i]).sum())
        assert going[i] == (better < math.ceil((i + 1) / 3)), i
    assert sum(going) < 20


def test_what_dominates_all_goes_on_and_what_all_dominate_is_stopped():
    assert decide(make(), [(1, 1), (2, 2), (3, 3), (0, 0), (4, 4), (-1, -1)]) == [True, False, False, True, False, True]


def test_rungs_are_the_powers_of_three_and_each_has_its_own_candidates():
    searcher = make()
    for i, epoch in enumerate((1, 3, 9)):
        assert decide(searcher, [(0.0, 0.0)], epoch, first=10 * i) == [True]
    bad = [searcher.keep_going([9, 9], epoch, (1.0, 1.0)) for epoch in range(1, 11)]
    assert bad == [epoch not in (1, 3, 9) for epoch in range(1, 11)]


def test_a_front_is_spread_out():
    """Of a straight front: the end of the lowest first objective, the other end, the middle, the quarters."""
    line = [(x, 8.0 - x) for x in (1, 0, 3, 8, 4, 2, 6)]
    order = [line[i][0] for i in preference(line)]
    assert order[:3] == [0, 8, 4]
    assert set(order[3:5]) == {2, 6}
    assert set(order[5:]) == {1, 3}


@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(0, 4).map(float)))
def test_preference_takes_front_after_front(values):
    order = preference(values)
    assert sorted(order) == list(range(len(values)))
    first = np.flatnonzero(is_front(values))
    assert set(order[: len(first)]) == set(first)
    for worse, row in enumerate(values):  # nothing comes before what dominates it
        better = np.flatnonzero((values <= row).all(axis=1) & (values < row).any(axis=1))
        assert all(order.index(one) < order.index(worse) for one in better)


def test_units_do_not_matter():
    rows = np.random.default_rng(1).random((20, 2)) + np.array([0.0, 3.0])
    going = decide(make(), rows)
    assert going == decide(make(), rows * [2.0**-10, 2.0**30])
    assert 0 < sum(going) < 20


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_failures_are_stopped_and_compared_with_nobody(objectives):
    good = np.random.default_rng(2).random((12, objectives))
    searcher, calm = make(objectives), make(objectives)
    for i, row in enumerate(good):
        failed = row.copy()
        failed[i % objectives] = (math.nan, math.inf, -math.inf)[i % 3]
        for epoch in (1, 2, 3):
            assert not searcher.keep_going([5, i], epoch, failed)
        assert searcher.keep_going([0, i], 1, row) == calm.keep_going([0, i], 1, row)
    assert searcher.state() == calm.state()


def test_restored_in_the_middle_it_decides_alike():
    rows = np.random.default_rng(3).random((24, 3))
    searcher, other = make(3, seed=4), make(3, seed=5)
    decide(searcher, rows[:8])
    decide(searcher, rows[:4], epoch=3)
    state = searcher.state()
    other.restore(state)
    assert other.state() == state
    for epoch in (1, 3):
        assert decide(searcher, rows[8:], epoch, first=8) == decide(other, rows[8:], epoch, first=8)
    assert searcher.state() == other.state()
    assert searcher.ask(3).tolist() == other.ask(3).tolist()


def test_asked_again_about_the_same_candidate_it_answers_the_same():
    rows = np.random.default_rng(4).random((9, 2))
    once, twice = make(), make()
    for i, row in enumerate(rows):
        answers = {twice.keep_going([0, i], 1, row) for _ in range(3)}
        assert answers == {once.keep_going([0, i], 1, row)}
    assert once.state() == twice.state()


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match=r"needs 2 values after an epoch from 1 on, got \(3,\) values and epoch=1"):
        make().keep_going([0, 0], 1, [1, 2, 3])
    with pytest.raises(InputError, match=r"got \(2,\) values and epoch=0"):
        make().keep_going([0, 0], 0, [1, 2])
    with pytest.raises(InputError, match=r"a candidate has coordinate 1 = 100 outside 0\.\.99"):
        make().keep_going([0, 100], 1, [1, 2])
