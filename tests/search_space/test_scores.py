import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from secateur.search_space import UnitScores

finite = st.floats(-1e6, 1e6)


def test_the_most_important_come_first_and_equal_ones_in_their_order():
    scores = UnitScores([[1.0, 3.0, 3.0, 2.0]], [[0.0, -1.0]])
    assert scores.head_order.tolist() == [[1, 2, 3, 0]]
    assert scores.neuron_order.tolist() == [[0, 1]]


@given(arrays(float, (2, 3), elements=finite), arrays(float, (2, 5), elements=finite))
def test_normalising_keeps_the_order_within_layers(heads, neurons):
    scores = UnitScores(heads, neurons).normalised()
    for values, own in ((scores.heads, heads), (scores.neurons, neurons)):
        zero = ~own.any(axis=1)
        np.testing.assert_allclose(np.linalg.norm(values, axis=1), np.where(zero, 0.0, 1.0), atol=1e-12)
        sorted_by_own = np.take_along_axis(values, np.argsort(own, axis=1), axis=1)
        assert (np.diff(sorted_by_own) >= 0).all()


def test_scores_come_back_from_a_file(tmp_path):
    scores = UnitScores([[1.0, 2.0]], [[3.0]], comparable=True)
    scores.save(tmp_path / "deep" / "scores.npz")
    loaded = UnitScores.load(tmp_path / "deep" / "scores.npz")
    assert loaded.heads.tolist() == [[1.0, 2.0]]
    assert loaded.neurons.tolist() == [[3.0]]
    assert loaded.comparable
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["scores.npz"]


@pytest.mark.parametrize(
    ("heads", "neurons", "message"),
    [
        ([[np.nan]], [[1.0]], "heads must be finite"),
        ([[1.0]], [[np.inf]], "neurons must be finite"),
        ([1.0], [[1.0]], "heads \\(L, H\\)"),
        ([[1.0]], [[1.0], [1.0]], "got \\(1, 1\\) and \\(2, 1\\)"),
    ],
)
def test_what_are_no_scores_is_refused(heads, neurons, message):
    with pytest.raises(ValueError, match=message):
        UnitScores(heads, neurons)


def test_scores_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        UnitScores([[1.0]], [[1.0]]).heads[0, 0] = 2.0
