import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from secateur.evaluation.pareto import hypervolume, is_front, normalised_hypervolume

# Few distinct numbers, so that ties and equal points are frequent.
SETS = st.integers(1, 4).flatmap(
    lambda m: st.integers(0, 12).flatmap(
        lambda n: arrays(float, (n, m), elements=st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, np.nan, np.inf]))
    )
)


def dominates(a, b):
    return bool((a <= b).all() and (a < b).any())


@given(SETS)
@settings(max_examples=300, deadline=None)
def test_front_is_what_nothing_dominates(values):
    front = is_front(values)
    assert front.shape == (len(values),)
    assert front.dtype == bool
    members = values[front]
    assert not np.isnan(members).any()
    for i, a in enumerate(members):
        assert not any(dominates(b, a) or (a == b).all() for j, b in enumerate(members) if i != j)
    for row, on_front in zip(values, front, strict=True):
        if not on_front and not np.isnan(row).any():
            assert any(dominates(member, row) or (member == row).all() for member in members)


def test_of_equal_points_the_first_is_kept():
    assert is_front([[1, 2], [1, 2], [0, 3], [1, 2], [1, 3]]).tolist() == [True, False, True, False, False]
    assert is_front([[1.0], [1.0], [2.0]]).tolist() == [True, False, False]
    assert is_front(np.empty((0, 2))).tolist() == []


def test_hypervolume_by_hand():
    assert hypervolume([[0, 0]], [2, 3]) == 6
    assert hypervolume([[1, 2], [2, 1]], [3, 3]) == 3  # two rectangles of 2, overlapping in 1
    assert hypervolume([[1, 2], [2, 1], [2, 2], [np.nan, 0], [0, 3], [5, -9]], [3, 3]) == 3
    assert hypervolume([[1.5]], [2]) == 0.5
    assert hypervolume([], [1, 1]) == 0
    assert hypervolume([[1, 0, 0], [0, 1, 0]], [2, 2, 2]) == pytest.approx(6)
    with pytest.raises(ValueError, match="2 objectives need a reference of as many"):
        hypervolume([[0, 0]], [1, 1, 1])


@given(arrays(float, (5, 2), elements=st.floats(0, 1.25)))
@settings(deadline=None)
def test_hypervolume_by_inclusion_and_exclusion(values):
    total = 0.0
    for subset in range(1, 2**5):
        chosen = values[[bool(subset >> i & 1) for i in range(5)]]
        sides = np.maximum(1.0 - chosen.max(axis=0), 0)
        total += (-1) ** (len(chosen) + 1) * sides.prod()
    assert hypervolume(values, [1.0, 1.0]) == pytest.approx(total, abs=1e-9)


@pytest.mark.parametrize("objectives", [3, 4])
def test_hypervolume_by_monte_carlo(objectives):
    rng = np.random.default_rng(0)
    values, darts = rng.random((20, objectives)), rng.random((50_000, objectives))
    hit = (values[:, None] <= darts).all(axis=2).any(axis=0).mean()
    assert hypervolume(values, np.ones(objectives)) == pytest.approx(hit, abs=0.01)


def test_normalised_hypervolume_lies_between_fixed_bounds():
    assert normalised_hypervolume([[0.1, 100]], [0.1, 100], [0.5, 300]) == 1
    assert normalised_hypervolume([[0.3, 200]], [0.1, 100], [0.5, 300]) == pytest.approx(0.25)
    assert normalised_hypervolume([[0.0, 0]], [0.1, 100], [0.5, 300]) == 1
    assert normalised_hypervolume([[0.5, 100], [np.nan, 0]], [0.1, 100], [0.5, 300]) == 0
    assert normalised_hypervolume([], [0, 0], [1, 1]) == 0
    with pytest.raises(ValueError, match="must be above the ideal"):
        normalised_hypervolume([[0, 0]], [0, 1], [1, 1])
