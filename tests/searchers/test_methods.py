"""What single methods claim for themselves, beyond the contract of all."""

import cProfile
import warnings
from dataclasses import replace
from math import comb

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.searchers import MOREA, NSGA3, Box, Predictor, Stratified, make_searcher
from secateur.searchers.agemoea2 import bend, find_corners, intercepts, surface_distances, survival_scores
from secateur.searchers.genetic import reference_directions
from secateur.searchers.results import preference

LOWER, UPPER = np.zeros(6, dtype=int), np.full(6, 20)
BOX = Box(LOWER, UPPER, num_objectives=2, seed=0)
OCTANT = replace(BOX, num_objectives=3)


def run(searcher, evaluate, budget):
    xs = []
    for _ in range(budget):
        x = searcher.ask(1)
        searcher.tell(x, evaluate(x))
        xs.append(x[0])
    return np.array(xs)


def octant(xs):
    """DTLZ2 of three objectives: the front is the unit sphere's octant, where the last four coordinates are ten."""
    u = xs / UPPER
    radius = 1 + ((u[:, 2:] - 0.5) ** 2).sum(axis=1)
    a, b = (u[:, :2] * np.pi / 2).T
    return radius[:, None] * np.stack([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)], axis=1)


def distance_of_front(values):
    """The mean distance of 15 points of the true front, evenly spread, to the closest point found."""
    truth = np.array([[i, j, 4 - i - j] for i in range(5) for j in range(5 - i)], dtype=float)
    truth /= np.linalg.norm(truth, axis=1, keepdims=True)
    return np.linalg.norm(truth[:, None] - values, axis=2).min(axis=1).mean()


@pytest.mark.parametrize("name", ["nsga3", "agemoea2", "smsemoa", "moead"])
def test_all_of_a_front_of_three_objectives_is_approached(name):
    def distances(searcher):
        searchers = [make_searcher(searcher, replace(OCTANT, seed=seed)) for seed in range(3)]
        return [distance_of_front(octant(run(one, octant, 400))) for one in searchers]

    assert max(distances(name)) < 0.6 * min(distances("random"))


@pytest.mark.parametrize("name", ["nsga3", "agemoea2", "smsemoa", "moead", "morea"])
def test_units_do_not_matter_with_three_objectives(name):
    points = [
        run(make_searcher(name, OCTANT), lambda xs, units=units: octant(xs) * units, 80)
        for units in (1.0, [2.0**-14, 1.0, 2.0**20])
    ]
    assert np.array_equal(*points)


@pytest.mark.parametrize(("objectives", "most"), [(1, 20), (2, 20), (3, 20), (4, 20), (4, 3)])
def test_reference_directions_are_a_whole_lattice(objectives, most):
    weights = reference_directions(objectives, most)
    assert np.allclose(weights.sum(axis=1), 1)
    assert len(np.unique(weights.round(9), axis=0)) == len(weights) <= most
    sizes = [comb(objectives + parts - 1, parts) for parts in range(most)]
    assert len(weights) == max(size for size in sizes if size <= most)


def test_nsga3_leaves_the_warnings_of_others_alone():
    before = list(warnings.filters)
    run(NSGA3(OCTANT), octant, 60)
    assert list(warnings.filters) == before


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("objectives", [2, 3])
def test_the_bend_of_a_front_is_recovered(p, objectives):
    points = np.random.default_rng(0).uniform(0.05, 1, size=(30, objectives))
    points /= (points**p).sum(axis=1, keepdims=True) ** (1 / p)
    front = np.concatenate([points, np.eye(objectives)]) * [3.0, 500.0, 0.01][:objectives]
    corners = find_corners(front)
    assert sorted(corners) == [30 + j for j in range(objectives)]
    scale = intercepts(front, corners)
    assert np.allclose(scale, [3.0, 500.0, 0.01][:objectives])
    assert bend(front / scale, corners) == pytest.approx(p)


def test_distances_follow_the_front():
    angles = np.array([0.1, 0.5, 1.2])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # Two chords, each of half the angle between.
    between = np.abs(angles[:, None] - angles)
    assert np.allclose(surface_distances(circle, 2.0), 4 * np.sin(between / 4))
    line = np.array([[0.0, 1.0], [0.25, 0.75], [1.0, 0.0]])
    assert np.allclose(surface_distances(line, 1.0), np.sqrt(2) * np.abs(line[:, :1] - line[:, 0]))


def test_survivors_lie_apart():
    u = np.array([0.0, 0.1, 0.4, 0.52, 1.0])
    line = np.stack([u, 1 - u], axis=1)
    taken = np.array([0, 2, 4])
    # Between two neighbours, the distances to both add up to the gap: 0.6 is taken first, then 0.4.
    expected = np.array([np.inf, 0.4, np.inf, 0.6, np.inf]) * np.sqrt(2)
    assert np.allclose(survival_scores(line, taken, 1.0), expected)
    line[3] *= 2  # twice as far from the best values, in the same direction
    expected[3] = np.sqrt(2) * (0.12 + 0.42) / 2  # taken last, so that the one at 0.1 is nearer than the end
    assert np.allclose(survival_scores(line, taken, 1.0), expected)


def test_preference_is_by_rank_and_spreads_each_front():
    assert preference([[2, 2], [0, 0], [1, 1]]) == [1, 2, 0]
    # Best of the first objective, the far end, the middle; then the point that (2, 2) dominates.
    assert preference([[2, 2], [0, 4], [3, 3], [4, 0]]) == [1, 3, 0, 2]
    assert preference(np.ones((3, 2))) == [0, 1, 2]
    # Units do not matter: the second point is the far one in both objectives' ranges, not in the sum of units.
    assert preference([[0, 1000], [1, 0], [0.1, 900]]) == [0, 1, 2]


def test_the_oldest_die_with_what_was_told_beside_them():
    box = replace(BOX, num_objectives=1, initial=np.diag([1, 2, 3, 4, 5, 6]))
    searcher = MOREA(box, population=2, sample=20)
    best = np.full((1, 6), 10)  # told beside the first one asked, and better than all
    searcher.tell(np.concatenate([searcher.ask(1), best]), [[9.0], [0.0]])
    searcher.tell(searcher.ask(1), [[8.0]])
    searcher.ask(4)
    assert (searcher.ask(20) != best).sum(axis=1).tolist() == [1] * 20
    searcher.tell(np.diag([1, 2, 3, 4, 5, 6])[2:4], [[7.0], [6.0]])
    children = searcher.ask(20)
    assert (children != np.diag([1, 2, 3, 4, 5, 6])[3]).sum(axis=1).tolist() == [1] * 20


def test_a_useless_population_is_refused():
    with pytest.raises(InputError, match="at least 1, got population=0, sample=5"):
        MOREA(BOX, population=0)


def test_every_stratum_of_size_gets_its_share():
    lower, upper = np.zeros(24, dtype=int), np.full(24, 100)
    box = Box(lower, upper, num_objectives=2, seed=0, initial=np.empty((0, 24), dtype=int))
    searcher = Stratified(box, strata=10)
    size = (searcher.ask(100) / upper).mean(axis=1)
    counts = np.histogram(size, bins=10, range=(0, 1))[0]
    assert counts.min() >= 7, counts  # independent draws of uniform size would leave one with about 5


def test_strata_of_a_cost_that_was_told():
    """The cost is coordinate 0, which the diagonal of 24 coordinates says little about."""
    lower, upper = np.zeros(24, dtype=int), np.full(24, 100)

    def evaluate(xs):
        return np.stack([np.ones(len(xs)), 7.0 + xs[:, 0]], axis=1)

    searcher = Stratified(Box(lower, upper, num_objectives=2, seed=0), by_cost=True)
    costs = run(searcher, evaluate, 150)[50:, 0]
    assert np.histogram(costs, bins=10, range=(0, 101))[0].min() >= 7
    with pytest.raises(InputError, match=r"at least one stratum, got strata=0"):
        Stratified(BOX, strata=0)


def two_targets(xs):
    """Squared distances to two points; the Pareto set is the segment between them."""
    return np.stack([((xs - target) ** 2).sum(axis=1) for target in (5, 15)], axis=1).astype(float)


def off_the_segment(xs):
    along = np.clip(xs.mean(axis=1), 5, 15)
    return np.linalg.norm(xs - along[:, None], axis=1)


@pytest.mark.parametrize(("model", "factor"), [("ridge", 0.25), ("forest", 0.8)])
def test_predicted_points_lie_close_to_the_pareto_set(model, factor):
    searcher = Predictor(BOX, model=model, startup=60)
    start = searcher.ask(60)
    searcher.tell(start, two_targets(start))
    predicted = searcher.ask(10)
    assert off_the_segment(predicted).mean() < factor * off_the_segment(start).mean()
    assert len(np.unique(predicted, axis=0)) == 10


def test_predictor_does_not_breed_for_ever_where_an_objective_is_constant():
    searcher = Predictor(BOX)
    xs = searcher.ask(20)
    searcher.tell(xs, np.stack([np.ones(20), xs.sum(1)], axis=1))
    profile = cProfile.Profile()
    assert len(np.unique(profile.runcall(searcher.ask, 10), axis=0)) == 10
    (bred,) = (one.callcount for one in profile.getstats() if "_next_generation" in str(one.code))
    assert 1 < bred < 300  # one round asks 1,200 points of generations of 20


def test_predictor_arguments_are_named():
    with pytest.raises(InputError, match="unknown predictor model 'net'; known: forest, ridge"):
        Predictor(BOX, model="net")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="batch of at least 1 and 2 results, got batch=0, startup=20"):
        Predictor(BOX, batch=0)
