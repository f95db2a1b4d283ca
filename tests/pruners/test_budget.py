from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.evaluation.objectives.macs import macs
from secateur.pruners.budget import best_mask, evened
from secateur.search_space import EncoderShape, SubnetMask, UnitScores
from secateur.supernet import Supernet

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
SMALL = EncoderShape(num_layers=2, num_heads=2, head_size=1, hidden_size=2, intermediate_size=3)
ALL_HEADS = np.ones((3, 4), bool)


def random_scores(seed: int, shape: EncoderShape = SHAPE, *, comparable: bool = True) -> UnitScores:
    rng = np.random.default_rng(seed)
    sizes = (shape.num_layers, shape.num_heads), (shape.num_layers, shape.intermediate_size)
    # Layers and kinds of different scale, as real scores are.
    heads, neurons = (rng.gamma(0.5, size=size) * np.exp(2 * rng.normal(size=(size[0], 1))) for size in sizes)
    return UnitScores(heads, neurons, comparable)


def parameters(mask: SubnetMask) -> float:
    return float(mask.encoder_parameters(SHAPE))


def stairs(mask: SubnetMask) -> float:
    """Costs like a latency table's: each layer by itself, in steps, more for a head among few neurons."""
    pairs = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
    return sum((layer + 1) * np.ceil(neurons / 5) + np.sqrt(heads) for layer, (heads, neurons) in enumerate(pairs))


@pytest.fixture(scope="module")
def costs(tiny_models):
    return {"parameters": parameters, "macs": macs(Supernet(tiny_models["bert"]), [5, 12]).of, "stairs": stairs}


def kept_sum(scores: UnitScores, mask: SubnetMask) -> float:
    return float(scores.heads[mask.heads].sum() + scores.neurons[mask.neurons].sum())


def rows_with_a_unit(num_layers: int, width: int) -> list[np.ndarray]:
    rows = [row for row in product((False, True), repeat=width) if any(row)]
    return [np.array(chosen) for chosen in product(rows, repeat=num_layers)]


SMALL_MASKS = [
    SubnetMask(heads, neurons, [True, True])
    for heads in rows_with_a_unit(2, 2)
    for neurons in rows_with_a_unit(2, 3)
]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.1, 10), st.floats(0, 1))
def test_with_additive_costs_no_mask_is_better(seed, head_cost, share):
    scores = random_scores(seed, SMALL)

    def cost(mask: SubnetMask) -> float:
        return 1.0 + head_cost * sum(mask.heads_per_layer) + sum(mask.neurons_per_layer)

    limit = cost(SubnetMask.from_counts(SMALL, [1, 1], [1, 1])) + share * (4 + 2 * head_cost)
    found = best_mask(SMALL, scores, cost, limit)
    best = max(kept_sum(scores, mask) for mask in SMALL_MASKS if cost(mask) <= limit)
    assert cost(found) <= limit
    assert kept_sum(scores, found) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans(), st.floats(0.01, 1), st.sampled_from(["parameters", "macs", "stairs"]))
def test_the_budget_holds_and_no_block_is_emptied(costs, seed, comparable, share, name):
    cost = costs[name]
    limit = share * cost(SubnetMask.full(SHAPE))
    scores = random_scores(seed, comparable=comparable)
    if limit < cost(SubnetMask.from_counts(SHAPE, [1] * 3, [1] * 3)):
        with pytest.raises(InputError, match=r"one unit in each block costs .*; allow more"):
            best_mask(SHAPE, scores, cost, limit)
        return
    mask = best_mask(SHAPE, scores, cost, limit)
    assert cost(mask) <= limit
    assert min(*mask.heads_per_layer, *mask.neurons_per_layer) >= 1
    for kept, values in ((mask.heads, scores.heads), (mask.neurons, scores.neurons)):
        for row, ranked in zip(kept, values, strict=True):
            assert ranked[row].min() >= ranked[~row].max(initial=-np.inf)  # within a layer always the best ones


def test_everything_is_kept_where_it_fits():
    scores = UnitScores(np.zeros((3, 4)), np.ones((3, 24)), comparable=True)
    assert best_mask(SHAPE, scores, parameters, parameters(SubnetMask.full(SHAPE))) == SubnetMask.full(SHAPE)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0.62, 1), min_size=2, max_size=5))
def test_neurons_of_smaller_budgets_are_among_those_of_larger_ones(seed, shares):
    scores, full = random_scores(seed), parameters(SubnetMask.full(SHAPE))
    masks = [best_mask(SHAPE, scores, parameters, share * full, heads=ALL_HEADS) for share in sorted(shares)]
    for share, mask in zip(sorted(shares), masks, strict=True):
        assert mask.heads.all()
        assert parameters(mask) <= share * full
        assert parameters(mask) > share * full - 33 or mask == SubnetMask.full(SHAPE)  # 2 * 16 + 1 for one more
    for smaller, larger in pairwise(masks):
        assert not (smaller.neurons & ~larger.neurons).any()


def test_comparable_scores_are_taken_as_they_are():
    heads = UnitScores(np.full((3, 4), 100.0), np.ones((3, 24)), comparable=True)
    neurons = UnitScores(np.full((3, 4), 1e-6), np.ones((3, 24)), comparable=True)
    half = 0.7 * parameters(SubnetMask.full(SHAPE))
    assert best_mask(SHAPE, heads, parameters, half).heads.all()
    assert best_mask(SHAPE, neurons, parameters, half).neurons.all()


def test_scores_of_different_units_are_made_comparable():
    scores = random_scores(3, comparable=False)
    scaled = UnitScores(1e4 * scores.heads, scores.neurons * [[1e-3], [1.0], [1e5]])
    limit = 0.5 * parameters(SubnetMask.full(SHAPE))
    assert best_mask(SHAPE, scores, parameters, limit) == best_mask(SHAPE, scaled, parameters, limit)


def test_a_unit_of_cost_is_worth_the_same_on_heads_as_on_neurons(costs):
    of_head = 4 * (3 * 16 + 3 + 16)  # rows of three maps with biases, columns of the fourth
    even = evened(SHAPE, random_scores(4, comparable=False), costs["parameters"])
    assert even.comparable
    assert even.heads.mean() / of_head == pytest.approx(even.neurons.mean() / 33)
    assert np.linalg.norm(even.heads, axis=1) == pytest.approx(np.linalg.norm(even.heads[0]))
    assert np.linalg.norm(even.neurons, axis=1) == pytest.approx(np.linalg.norm(even.neurons[0]))
