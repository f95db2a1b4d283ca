"""The four spaces: boxes, decoding, sampling (Klein et al., TMLR 2024)."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.search_space import SPACES, EncoderShape, Large, Layer, Medium, Small, SubnetMask

TINY = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
BASE = EncoderShape(num_layers=12, num_heads=12, head_size=64, hidden_size=768, intermediate_size=3072)

quick = settings(deadline=None, derandomize=True, database=None, max_examples=40)
every_space = pytest.mark.parametrize("name", list(SPACES))
both_widths = pytest.mark.parametrize("elastic", [False, True], ids=["full width", "elastic width"])


def log10_of_points(space) -> float:
    return float(np.log10(space.upper - space.lower + 1.0).sum())


def test_registry_has_the_spaces_of_the_paper():
    assert {"small": Small, "medium": Medium, "layer": Layer, "large": Large} == SPACES


@pytest.mark.parametrize(
    ("name", "dimensions", "log10_points"),
    [
        ("small", 3, math.log10(479_232)),
        ("medium", 24, 12 * math.log10(13) + 12 * math.log10(3073)),  # about 10^55
        ("layer", 12, math.log10(4096)),
        ("large", 37_008, 37_008 * math.log10(2)),
    ],
)
def test_sizes_for_bert_base(name, dimensions, log10_points):
    space = SPACES[name](BASE)
    assert space.dimensions == len(space.labels) == len(space.lower) == len(space.upper) == dimensions
    assert log10_of_points(space) == pytest.approx(log10_points)
    wider = SPACES[name](BASE, elastic_hidden=True)
    assert wider.dimensions == dimensions + 1
    assert log10_of_points(wider) == pytest.approx(log10_points + math.log10(768 - 768 // 8 + 1))


@pytest.mark.parametrize(
    ("name", "lower", "upper", "labels"),
    [
        ("small", [0, 1, 1], [3, 4, 24], ["layers", "heads", "neurons"]),
        (
            "medium",
            [0] * 6,
            [4, 4, 4, 24, 24, 24],
            ["heads 0", "heads 1", "heads 2", "neurons 0", "neurons 1", "neurons 2"],
        ),
        ("layer", [0] * 3, [1] * 3, ["layer 0", "layer 1", "layer 2"]),
        (
            "large",
            [0] * 84,
            [1] * 84,
            [f"head {i}.{j}" for i in range(3) for j in range(4)]
            + [f"neuron {i}.{j}" for i in range(3) for j in range(24)],
        ),
    ],
)
def test_boxes(name, lower, upper, labels):
    space = SPACES[name](TINY)
    assert space.name == name
    assert space.lower.tolist() == lower
    assert space.upper.tolist() == upper
    assert list(space.labels) == labels
    wider = SPACES[name](TINY, elastic_hidden=True)
    assert (wider.lower.tolist(), wider.upper.tolist()) == ([*lower, 2], [*upper, 16])
    assert wider.labels[-1] == "hidden"


def test_small_keeps_the_first_of_everything():
    assert Small(TINY).mask([2, 3, 5]) == SubnetMask.from_counts(TINY, [3, 3, 0], [5, 5, 0])
    assert Small(TINY).mask([0, 4, 24]) == SubnetMask.from_counts(TINY, [0] * 3, [0] * 3)
    assert Small(TINY, elastic_hidden=True).mask([3, 1, 1, 9]) == SubnetMask.from_counts(TINY, [1] * 3, [1] * 3, 9)


def test_an_order_of_layers_says_which_stay():
    space = Small(TINY, layer_order=[2, 0, 1])
    assert space.mask([1, 3, 5]) == SubnetMask.from_counts(TINY, [0, 0, 3], [0, 0, 5])
    assert space.mask([2, 3, 5]) == SubnetMask.from_counts(TINY, [3, 0, 3], [5, 0, 5])
    assert space.mask(space.smallest) == SubnetMask.from_counts(TINY, [0, 0, 1], [0, 0, 1])
    layers = Layer(TINY, layer_order=[2, 0, 1])
    assert layers.mask(layers.smallest) == SubnetMask.from_counts(TINY, [0, 0, 4], [0, 0, 24])
    assert layers.uniform_cut(2 / 3).tolist() == [1, 0, 1]


@pytest.mark.parametrize("order", [[0, 1], [0, 1, 1], [1, 2, 3]])
def test_an_order_names_each_layer_once(order):
    with pytest.raises(ValueError, match="an order of 3 layers names each of them once, got"):
        Small(TINY, layer_order=order)


def test_medium_has_counts_per_layer():
    assert Medium(TINY).mask([0, 1, 4, 24, 0, 7]) == SubnetMask.from_counts(TINY, [0, 1, 4], [24, 0, 7])


def test_layer_keeps_whole_layers():
    assert Layer(TINY).mask([1, 0, 1]) == SubnetMask.from_counts(TINY, [4, 0, 4], [24, 0, 24])


@quick
@given(st.integers(0, 2**84 - 1))
def test_large_has_a_bit_per_unit(number):
    bits = [number >> i & 1 for i in range(84)]
    mask = Large(TINY).mask(np.array(bits))
    assert mask.heads.astype(int).ravel().tolist() == bits[:12]
    assert mask.neurons.astype(int).ravel().tolist() == bits[12:]
    assert mask.hidden.all()


@every_space
@both_widths
def test_ends(name, elastic):
    space = SPACES[name](TINY, elastic_hidden=elastic)
    hidden = 2 if elastic else 16
    smallest = {  # what the paper's experiments trained as the smallest
        "small": SubnetMask.from_counts(TINY, [1, 0, 0], [1, 0, 0], hidden),
        "medium": SubnetMask.from_counts(TINY, [1, 1, 1], [1, 1, 1], hidden),
        "layer": SubnetMask.from_counts(TINY, [4, 0, 0], [24, 0, 0], hidden),
        "large": SubnetMask.from_counts(TINY, [1, 0, 0], [1, 0, 0], hidden),
    }
    assert space.mask(space.largest) == SubnetMask.full(TINY)
    assert space.mask(space.smallest) == smallest[name]


def test_ends_are_copies():
    space = Small(TINY)
    space.largest[:] = 0
    assert space.upper.tolist() == [3, 4, 24]


@every_space
@both_widths
@quick
@given(seed=st.integers(0, 2**32 - 1))
def test_samples_lie_in_the_box_and_repeat(name, elastic, seed):
    space = SPACES[name](TINY, elastic_hidden=elastic)
    for draw in (space.sample, space.sample_by_size):
        xs = draw(5, np.random.default_rng(seed))
        assert xs.shape == (5, space.dimensions)
        assert xs.dtype == np.int64
        assert np.all((space.lower <= xs) & (xs <= space.upper))
        assert np.array_equal(xs, draw(5, np.random.default_rng(seed)))
        for x in xs:
            space.mask(x)


@every_space
def test_samples_differ(name):
    space = SPACES[name](TINY)
    for draw in (space.sample, space.sample_by_size):
        first, second = (draw(20, np.random.default_rng(seed)) for seed in (0, 1))
        assert not np.array_equal(first, second)
        assert len(np.unique(first, axis=0)) > 5


def kept_neurons(name: str, count: int) -> np.ndarray:
    space = SPACES[name](BASE)
    masks = map(space.mask, space.sample(count, np.random.default_rng(0)))
    return np.array([mask.neurons.mean() for mask in masks])


@pytest.mark.parametrize(
    ("name", "count", "mean", "low", "high"),
    [  # mean and 5th to 95th percentile of the kept neurons' share
        ("small", 2000, 0.25, 0.00, 0.725),
        ("medium", 2000, 0.50, 0.37, 0.64),
        ("layer", 2000, 0.46, 0.00, 0.92),
        ("large", 300, 0.50, 0.05, 0.95),
    ],
)
def test_samples_are_distributed_as_in_the_paper(name, count, mean, low, high):
    shares = kept_neurons(name, count)
    tolerance = 0.045 if count >= 2000 else 0.06
    assert shares.mean() == pytest.approx(mean, abs=tolerance)
    assert np.percentile(shares, [5, 95]) == pytest.approx([low, high], abs=tolerance)


def test_small_samples_both_ends_of_each_coordinate():
    xs = Small(TINY).sample(2000, np.random.default_rng(0))
    for column, (lower, upper) in enumerate([(0, 3), (1, 4), (1, 24)]):
        values, counts = np.unique(xs[:, column], return_counts=True)
        assert values.tolist() == list(range(lower, upper + 1))
        assert counts.min() > 0.5 * 2000 / len(values)


def test_layer_never_samples_the_whole_network():
    """The paper's sampler keeps 0 to L - 1 layers, each number equally often."""
    kept = Layer(BASE).sample(3000, np.random.default_rng(0)).sum(axis=1)
    values, counts = np.unique(kept, return_counts=True)
    assert values.tolist() == list(range(12))
    assert counts.min() > 0.7 * 3000 / 12


@pytest.mark.parametrize(("name", "count"), [("small", 500), ("medium", 500), ("layer", 500), ("large", 100)])
def test_sampling_by_size_is_uniform_in_size(name, count):
    space = SPACES[name](BASE)
    low, high = (space.mask(x).encoder_parameters(BASE) for x in (space.smallest, space.largest))
    masks = map(space.mask, space.sample_by_size(count, np.random.default_rng(0)))
    sizes = (np.array([mask.encoder_parameters(BASE) for mask in masks]) - low) / (high - low)
    deciles = np.histogram(np.clip(sizes, 0, 1), bins=10, range=(0, 1))[0]
    assert deciles.sum() == count
    # Twelve equal layers cannot fill ten bins evenly, and a box of three numbers has gaps too.
    assert deciles.min() > (0.4 if name != "layer" else 0.25) * count / 10
    assert deciles.max() < (1.8 if name != "layer" else 2.5) * count / 10
    assert np.percentile(sizes, 5) < 0.12
    assert np.percentile(sizes, 95) > 0.88


def test_sampling_by_another_measure():
    space = Medium(TINY)
    xs = space.sample_by_size(400, np.random.default_rng(0), size=lambda mask: float(mask.heads.sum()))
    kept = np.array([space.mask(x).heads.sum() for x in xs])
    assert set(range(3, 13)) <= set(kept.tolist())
    assert np.bincount(kept, minlength=13)[4:12].min() > 0.4 * 400 / 10


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([1, 2], r"a point of the small space has shape \(3,\), got \(2,\)"),
        ([4, 1, 1], r"layers = 4 lies outside 0\.\.3"),
        ([1, 0, 1], r"heads = 0 lies outside 1\.\.4"),
        ([1, 1, 25], r"neurons = 25 lies outside 1\.\.24"),
    ],
)
def test_points_outside(x, message):
    with pytest.raises(ValueError, match=message):
        Small(TINY).mask(np.array(x))


@every_space
@both_widths
@quick
@given(seed=st.integers(0, 2**32 - 1), depth=st.integers(0, 3))
def test_a_truncated_point_is_the_truncated_mask(name, elastic, seed, depth):
    space = SPACES[name](TINY, elastic_hidden=elastic)
    x = space.sample(1, np.random.default_rng(seed))[0]
    before = x.copy()
    cut = space.truncated(x, depth)
    assert cut is not None
    assert space.mask(cut) == space.mask(x).truncated(depth)
    assert space.mask(cut).depth <= depth
    assert (x == before).all()


@every_space
@both_widths
@quick
@given(seed=st.integers(0, 2**32 - 1))
def test_the_nearest_point_of_a_points_own_mask(name, elastic, seed):
    space = SPACES[name](TINY, elastic_hidden=elastic)
    x = space.sample(1, np.random.default_rng(seed))[0]
    near = space.nearest(space.mask(x))
    assert space.mask(near) == space.mask(x) or (name == "layer" and not x[:3].any())


@pytest.mark.parametrize(
    ("name", "expected"),
    [("small", [2, 2, 8]), ("medium", [1, 0, 4, 10, 0, 7]), ("layer", [0, 0, 1])],
)
def test_the_nearest_point_of_any_mask(name, expected):
    heads, neurons = np.zeros((3, 4), bool), np.zeros((3, 24), bool)
    heads[0, 3] = heads[2] = True
    neurons[0, 10:20] = neurons[2, 5:12] = True
    near = SPACES[name](TINY).nearest(SubnetMask(heads, neurons, np.ones(16, bool)))
    assert near.tolist() == expected


@quick
@given(order=st.permutations(range(3)), layers=st.integers(0, 3), depth=st.integers(0, 3))
def test_a_truncated_point_is_the_truncated_mask_or_no_point_at_all(order, layers, depth):
    space = Small(TINY, layer_order=order)
    x = np.array([layers, 2, 5])
    wanted, cut = space.mask(x).truncated(depth), space.truncated(x, depth)
    points = [np.array([count, 2, 5]) for count in range(4)]
    assert (cut is None) == (wanted not in [space.mask(point) for point in points])
    assert cut is None or space.mask(cut) == wanted
