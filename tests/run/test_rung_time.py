"""How a ladder's minutes are shared out: all of them, more for smaller rungs, whatever cutting and scoring take."""

from __future__ import annotations

import pytest
from secateur.run.stages import rung_time
from secateur.run.stages.rung_time import RungTime

SIZES = [1 / 2, 1 / 4, 1 / 8]


class Clock:
    """A clock that is turned by hand."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(rung_time, "time", made)
    return made


def climbed(clock: Clock, ends: float, cutting: list[float], scoring: float) -> list[float]:
    """Return the seconds that each rung is trained for."""
    found = []
    for i, above in enumerate([1, *SIZES[:-1]]):
        left = RungTime(ends, above, SIZES[i:], scoring)
        clock.now += cutting[i]
        found.append(left.training())
        clock.now += found[-1] + scoring
    return found


def test_all_the_time_is_spent_and_smaller_rungs_have_more_of_it(clock):
    trained = climbed(clock, 300, [30, 30 * 0.5**0.5, 15], 4)  # seconds fall as it is thought that they do
    assert clock.now == pytest.approx(300)
    assert trained[0] / trained[1] == pytest.approx(trained[1] / trained[2]) == pytest.approx(0.5**0.5)


def test_no_rung_is_left_without_training_because_the_first_is_slow_to_cut(clock):
    trained = climbed(clock, 120, [45, 22, 15], 2)  # as on two cores without AMX
    assert clock.now == pytest.approx(120)
    assert min(trained) > 3


def test_minutes_that_are_over_leave_nothing_and_never_less(clock):
    assert climbed(clock, 10, [20, 10, 5], 1) == [0, 0, 0]


def test_further_cuts_are_looked_at_for_a_third_of_a_rungs_time(clock):
    clock.now = 100
    assert RungTime(400, 1, [1 / 2], 5).choosing_ends == pytest.approx(200)
    assert RungTime(400, 1, [1 / 2, 1 / 8], 5).choosing_ends == pytest.approx(100 + 100 / 3)
