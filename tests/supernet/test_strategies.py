"""What each strategy runs in a step."""

import numpy as np
import pytest
from secateur.search_space import SPACES, EncoderShape
from secateur.supernet.training.strategies import FINETUNED_TEACHES, STRATEGIES, Pass, Step

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
SPACE = SPACES["medium"](SHAPE)
LARGEST = SPACE.mask(np.array([4, 4, 4, 24, 24, 24]))
SMALLEST = SPACE.mask(np.array([1, 1, 1, 1, 1, 1]))


def step(index: int = 0, total: int = 11, seed: int = 0, k: int = 2) -> Step:
    return Step(index, total, SPACE, SPACE.sample, np.random.default_rng(seed), k)


def drawn(seed: int, k: int, target: str, *, after_a_chance: bool = False) -> list[Pass]:
    rng = np.random.default_rng(seed)
    if after_a_chance:
        rng.uniform()
    return [Pass(SPACE.mask(x), target) for x in SPACE.sample(k, rng)]


def test_registry_has_the_strategies_of_the_paper_and_one_of_its_own():
    assert set(STRATEGIES) == {"standard", "random", "random_linear", "sandwich", "inplace_kd", "full", "distil"}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_strategies_without_chance(k):
    whole, small = Pass(LARGEST, "labels"), Pass(SMALLEST, "labels")
    expected = {
        "standard": [whole],
        "random": drawn(5, k, "labels"),
        "sandwich": [whole, small, *drawn(5, k, "labels")],
        "full": [whole, Pass(SMALLEST, "teacher"), *drawn(5, k, "teacher")],
        "distil": [Pass(LARGEST, "finetuned"), *drawn(5, k, "finetuned")],
    }
    for name, passes in expected.items():
        for index in (0, 7, 10):
            assert STRATEGIES[name](step(index, seed=5, k=k)) == passes


@pytest.mark.parametrize(("name", "target"), [("random_linear", "labels"), ("inplace_kd", "teacher")])
def test_strategies_with_growing_chance(name, target):
    strategy, whole = STRATEGIES[name], [Pass(LARGEST, "labels")]
    for seed in range(100):
        assert strategy(step(0, seed=seed)) == whole
        assert strategy(step(10, seed=seed)) == drawn(seed, 2, target, after_a_chance=True)
    for index in (3, 7):
        random = sum(strategy(step(index, seed=seed)) != whole for seed in range(1000))
        assert random / 1000 == pytest.approx(index / 10, abs=0.05)  # three standard deviations


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_same_rng_same_passes(name):
    assert STRATEGIES[name](step(8, seed=3)) == STRATEGIES[name](step(8, seed=3))
    different = {tuple(one.mask.key for one in STRATEGIES[name](step(8, seed=seed))) for seed in range(20)}
    assert (len(different) > 1) == (name != "standard")


def test_whom_the_fine_tuned_model_teaches_is_written_down():
    teaching = {
        name
        for name, strategy in STRATEGIES.items()
        for index in (0, 10)
        if "finetuned" in [one.target for one in strategy(step(index))]
    }
    assert teaching == FINETUNED_TEACHES


def test_the_whole_network_goes_first_where_it_teaches():
    """Its outputs of this step are the teacher: it must have run before."""
    for strategy in STRATEGIES.values():
        passes = strategy(step(10, seed=1))
        if LARGEST in [one.mask for one in passes] and strategy is not STRATEGIES["distil"]:
            assert passes[0] == Pass(LARGEST, "labels")
