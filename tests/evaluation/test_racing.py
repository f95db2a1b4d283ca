import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.evaluation.evaluation import ROWS
from secateur.evaluation.evaluator import Evaluator
from secateur.evaluation.objectives import ERROR, Objective, encoder_parameters
from secateur.evaluation.pareto import hypervolume, is_front
from secateur.evaluation.racing import FrontLimits, check_racing, hardness, probes, stages
from secateur.search_space import SPACES, SubnetMask
from secateur.searchers import NSGA2, Box
from secateur.tasks.metrics import METRICS, metric_of

from .conftest import SHAPE, split_error

FULL = SubnetMask.full(SHAPE)
MEDIUM = SPACES["medium"](SHAPE)
LABELS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12)


def objectives(supernet):
    return [encoder_parameters(supernet), Objective("heads", "heads", lambda mask: float(mask.heads.sum()))]


def racer(supernet, split, **options):
    return Evaluator({"selection": split_error(supernet, split)}, objectives(supernet), **{"racing": True} | options)


@pytest.fixture(scope="module")
def masks():
    return [MEDIUM.mask(x) for x in MEDIUM.sample_by_size(60, np.random.default_rng(3))]


@given(
    LABELS,
    st.sampled_from(["accuracy", "balanced_accuracy", "f1", "macro_f1", "weighted_f1", "matthews"]),
)
@settings(max_examples=400, deadline=None)
def test_correcting_an_answer_never_raises_the_error(rows, name):
    metric = metric_of(name, "classification", 1)
    check_racing(metric, 2)
    predictions, labels = np.array(rows).T
    before = 1 - metric.of_compared(np.eye(2)[predictions], labels)
    for wrong in np.flatnonzero(predictions != labels):
        corrected = predictions.copy()
        corrected[wrong] = labels[wrong]
        assert 1 - metric.of_compared(np.eye(2)[corrected], labels) <= before + 1e-12


@pytest.mark.parametrize(
    ("name", "classes", "what"),
    [
        ("spearman", 1, "spearman;"),
        ("pearson", 1, "pearson;"),
        ("matthews", 3, "matthews of 3 classes;"),
        ("auroc", 2, "auroc of 2 classes;"),
    ],
)
def test_other_metrics_are_refused(name, classes, what):
    with pytest.raises(InputError, match=f"this task's metric is {what} search without it"):
        check_racing(METRICS[name], classes)


@given(st.lists(st.tuples(*[st.sampled_from([0.1, 0.2, 0.3, math.nan])] * 3), max_size=8), st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_the_limit_is_the_best_error_that_costs_no_more(points, own):
    limits = FrontLimits(["a", "b"], [{ERROR: e, "a": a, "b": b} for e, a, b in points])
    costs = {"a": 0.1 * own, "b": 0.2}
    expected = [e for e, a, b in points if a <= costs["a"] and b <= 0.2 and not math.isnan(e)]
    assert limits.of(costs) == min(expected, default=math.inf)


def test_the_hardest_texts_come_first():
    logits = np.array([[9.0, 0.0], [0.0, 1.0], [0.0, 9.0], [np.nan, 0.0]], np.float32)
    hard = hardness(logits, np.zeros(4, np.int64))
    np.testing.assert_allclose(hard, [1 / (1 + math.e**9), 1 - 1 / (1 + math.e), 1 - 1 / (1 + math.e**9), 1], rtol=1e-6)
    assert [part.tolist() for part in stages(hard)] == [[3], [2], [1, 0]]
    assert [part.tolist() for part in stages(np.zeros(1))] == [[0]]
    assert probes(SHAPE)[0] == FULL


@pytest.mark.parametrize("metric", ["accuracy", "f1"])
def test_only_what_cannot_be_below_its_limit_is_stopped(supernet, split, masks, metric):
    errors = split_error(supernet, split, metric=METRICS[metric])
    rng = np.random.default_rng(0)
    finished, misses = 0, []
    for mask in masks[:30]:
        true = errors.errors(mask, range(mask.depth + 1))
        limits = {depth: error * rng.uniform(0.1, 1.3) for depth, error in true.items()}
        for depth, outcome in errors.race(mask, limits).items():
            if outcome.rows is None:
                assert outcome.error == pytest.approx(true[depth], abs=1e-12)
                finished += 1
            else:
                assert true[depth] >= limits[depth]
                assert outcome.error >= limits[depth]
                assert outcome.rows in (100, 200)
                misses.append(outcome.error - true[depth])
    assert finished > 15
    assert len(misses) > 15
    assert np.mean(np.abs(misses)) < 0.1  # of errors of about 0.5


def test_large_margins(supernet, split):
    """The whole network is 5 % wrong; one without layers is far worse and is stopped at the first look."""
    errors = split_error(supernet, split)
    none = errors.errors(FULL, (0,))[0]
    assert none > 0.5
    found = errors.race(FULL, {3: 0.3, 0: 0.1})
    assert found[3].error == pytest.approx(0.05)
    assert found[3].rows is None
    assert found[0].rows == 100
    assert 0.1 <= found[0].error <= none
    assert errors.race(FULL, {3: math.inf, 0: math.inf})[0].error == pytest.approx(none)


def test_the_pass_goes_no_deeper_than_those_that_are_left(supernet, split):
    errors = split_error(supernet, split, prefix_bytes=10**8)
    limits = {3: 0.0, 1: math.inf}
    errors.race(FULL, limits)
    before = errors.prefixes.traffic.saved
    found = errors.race(FULL, {3: 0.0})
    assert found[3].rows == 100
    assert errors.prefixes.traffic.saved - before == 2 * 100  # of two layers, for the first stage's texts only


def test_racing_gives_the_same_with_shared_prefixes(supernet, split, masks):
    limits = {mask.key: dict.fromkeys(range(1, mask.depth + 1), 0.3) for mask in masks}
    plain, sharing = (split_error(supernet, split, prefix_bytes=n) for n in (0, 400_000))
    for mask in masks[:8] * 3:
        wanted = {mask.depth: 0.3}
        assert sharing.race(mask, wanted) == plain.race(mask, wanted)
        assert sharing.race(mask, limits[mask.key]) == plain.race(mask, limits[mask.key])
    assert sharing.prefixes.traffic.saved > 0


def test_no_front_of_a_sequence_of_masks_is_changed(supernet, split, masks):
    names = (ERROR, "encoder_parameters", "heads")
    found = []
    for racing in (False, True):
        evaluator = racer(supernet, split, racing=racing)
        found.append([one for mask in masks for one in evaluator(mask)])
    everyone, raced = found
    assert [one.mask for one in raced] == [one.mask for one in everyone]
    assert sum(one.rows is not None for one in raced) > len(everyone) / 4
    for columns in (names[:2], (ERROR, "heads"), names):
        fronts = []
        for some in (everyone, [one for one in raced if one.rows is None]):
            values = np.array([[one.values[name] for name in columns] for one in some])
            fronts.append({some[i].mask.key: values[i].tolist() for i in np.flatnonzero(is_front(values))})
        assert fronts[0] == fronts[1]
    for one, other in zip(everyone, raced, strict=True):
        assert (other.rows is None) == (ROWS not in other.values)
        if other.rows is None:
            assert other.values == one.values
        else:
            assert {**other.values, ERROR: one.values[ERROR]} == {**one.values, ROWS: other.rows}


def searched(supernet, split, *, racing, evaluations=60):
    """Search with NSGA-II; return the values of what was evaluated on all rows, and how many were not."""
    searcher = NSGA2(Box(MEDIUM.lower, MEDIUM.upper, num_objectives=2, seed=0, sampler=MEDIUM.sample_by_size))
    evaluator = racer(supernet, split, racing=racing)
    whole, stopped = [], 0
    for _ in range(evaluations):
        x = searcher.ask(1)[0]
        found = evaluator(MEDIUM.mask(x))
        values = [[one.values[ERROR], one.values["encoder_parameters"]] for one in found]
        searcher.tell(x[None], np.array(values[:1]))
        whole += [row for row, one in zip(values, found, strict=True) if one.rows is None]
        stopped += sum(one.rows is not None for one in found)
    return np.array(whole), stopped


def test_a_search_finds_a_front_as_good_and_the_same_each_time(supernet, split):
    plain, none = searched(supernet, split, racing=False)
    raced, stopped = searched(supernet, split, racing=True)
    again, _ = searched(supernet, split, racing=True)
    np.testing.assert_array_equal(raced, again)
    assert none == 0
    assert stopped > 25
    reference = [1.0, SHAPE.encoder_parameters * 1.01]
    assert hypervolume(raced, reference) >= 0.99 * hypervolume(plain, reference)


def test_a_pass_can_be_run_by_another_process(supernet, split, masks):
    here, driver, worker = (racer(supernet, split) for _ in range(3))
    for mask in masks[:20]:
        expected = here(mask)
        plan = driver.plan(mask)
        assert (plan is None) == (expected[0].seconds == 0)
        if plan is None:
            found = driver.recall(mask)
        else:
            sent = pickle.dumps(plan)
            assert len(sent) < 2000
            outcomes = pickle.loads(pickle.dumps(worker.run(pickle.loads(sent))))
            found = driver.take(plan, outcomes)
            assert driver.plan(mask) is None
            late = driver.take(plan, outcomes)  # of two that were under way at the same time the first one counts
            assert [(one.mask, one.values, one.asked) for one in late] == [(mask, found[0].values, True)]
        assert [(one.mask, one.values, one.asked) for one in found] == [(o.mask, o.values, o.asked) for o in expected]


def test_what_is_known_is_not_run_again(supernet, split, masks):
    first = racer(supernet, split)
    found = [one for mask in masks[:30] for one in first(mask)]
    known = {one.mask.key: one.values for one in found}
    stopped = [one for one in found if one.rows is not None]
    resumed = racer(supernet, split, known=known)
    assert stopped
    for one in found:
        (back,) = resumed(one.mask)
        assert (back.values, back.rows, back.seconds, back.asked) == (one.values, one.rows, 0.0, True)
    for mask in masks[30:]:
        assert [one.values for one in resumed(mask)] == [one.values for one in first(mask)]
    # Without racing an estimate is no value.
    plain = racer(supernet, split, known=known, racing=False)
    for one in stopped:
        back = plain(one.mask)[0]
        assert back.rows is None
        assert back.values[ERROR] != one.values[ERROR] or back.seconds > 0


def test_racing_needs_one_data_set(supernet, split):
    errors = {name: split_error(supernet, split) for name in ("matched", "mismatched")}
    with pytest.raises(ValueError, match="racing needs one data set, got matched, mismatched"):
        Evaluator(errors, [], racing=True)
    with pytest.raises(InputError, match="this task's metric is matthews of 3 classes"):
        split_error(supernet, split, metric=METRICS["matthews"]).race(FULL, {3: 0.1})
