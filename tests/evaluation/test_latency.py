import numpy as np
import pytest
import torch
from pydantic import ValidationError
from secateur.errors import InputError
from secateur.evaluation.latency import (
    RUNTIMES,
    Bench,
    LatencyTable,
    LatencyTarget,
    busy,
    calibrate,
    padded_lengths,
)
from secateur.evaluation.latency.calibration import fitted_parts, make_plan, rank_correlation, share
from secateur.evaluation.latency.measure import measure, summary
from secateur.evaluation.latency.runtime import PRECISIONS
from secateur.evaluation.latency.table import Accuracy
from secateur.search_space import EncoderShape, Medium, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.tests.tiny import tiny_model

TARGET = LatencyTarget(machine="here", threads=1, batch_size=2, sequence_length=8)
MINI = EncoderShape(num_layers=6, num_heads=12, head_size=32, hidden_size=384, intermediate_size=1536)


@pytest.fixture(scope="module")
def supernet():
    return Supernet(tiny_model("bert"))


def additive(mask):
    """Milliseconds of an encoder whose blocks cost in proportion to their size and something more."""
    attention = sum(0.3 + 0.1 * heads for heads in mask.heads_per_layer if heads)
    return 0.5 + attention + sum(0.2 + 0.001 * neurons for neurons in mask.neurons_per_layer if neurons)


@pytest.fixture(scope="module")
def table():
    plan = make_plan(MINI, 0.01, 50.0)
    parts, scaling = ([additive(mask) for mask in masks] for masks in (plan.parts, plan.scaling))
    fitted = fitted_parts(TARGET, plan, parts, scaling)
    numbers = dict.fromkeys(("worst", "tau", "whole_p50", "whole_p95", "spread", "seconds"), 1.0)
    return LatencyTable(**dict(fitted), reference=1.0, error=0.1, accuracy=Accuracy(networks=8, **numbers))


def test_a_table_predicts_an_additive_time(table):
    space = Medium(MINI)
    masks = [space.mask(x) for x in space.sample(40, np.random.default_rng(5))]
    masks += [SubnetMask.full(MINI), SubnetMask.full(MINI).truncated(2), SubnetMask.full(MINI).truncated(0)]
    assert [table.predict(mask) for mask in masks] == pytest.approx([additive(mask) for mask in masks], rel=1e-9)


def test_noise_never_makes_a_larger_block_faster():
    plan = make_plan(MINI, 0.01, 50.0, elastic_hidden=True)
    rng = np.random.default_rng(0)
    noisy = [additive(mask) * mask.hidden_size / 384 * rng.uniform(0.5, 1.5) for mask in plan.parts]
    table = fitted_parts(TARGET, plan, noisy, [additive(mask) for mask in plan.scaling])
    for part in (*table.attention, *table.ffn):
        times = [part.at(size) for size in range(max(part.sizes) + 1)]
        assert times[0] == 0.0
        assert (np.diff(times) >= 0).all()


@pytest.mark.parametrize("whole", [0.005, 0.2, 1.0, 3.0])
def test_a_plan_fits_into_its_seconds_and_holds_networks_out(whole):
    plan = make_plan(MINI, whole, 50.0)
    if whole <= 1.0:  # of the coarsest plan nothing is left out, even where it takes longer
        assert plan.least_seconds(MINI, whole) <= 50.0
    fitted, held_out = {*plan.parts, *plan.scaling}, set(plan.held_out)
    assert not fitted & held_out
    assert SubnetMask.full(MINI) == plan.held_out[-1]
    assert len(held_out) >= 8
    assert plan.heads[0] == plan.neurons[0] == 1
    assert (plan.heads[-1], plan.neurons[-1]) == (12, 1536)


def test_a_slow_target_gets_fewer_and_shallower_networks():
    plans = [make_plan(MINI, whole, 50.0) for whole in (0.005, 0.6, 2.0)]
    sizes = [len(plan.networks) for plan in plans]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > sizes[-1]
    assert plans[0].depth == 6
    assert plans[-1].depth < 6
    assert share(MINI, SubnetMask.full(MINI)) == pytest.approx(1.0)


def test_calibrate_on_a_real_network(supernet, tmp_path):
    seen = []
    table = calibrate(supernet, TARGET, seconds=0.5, report=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == len(make_plan(supernet.shape, 1e-3, 0.5).networks)
    assert table.accuracy.networks >= 8
    assert 0 < table.accuracy.whole_p50 <= table.accuracy.whole_p95
    assert table.reference > 0
    assert table.predict(SubnetMask.full(supernet.shape)) > 0
    path = tmp_path / "latency" / "one.json"
    table.save(path)
    assert LatencyTable.load(path) == table
    assert [item.name for item in path.parent.iterdir()] == ["one.json"]


def test_a_rank_correlation_that_is_none_is_kept(table, tmp_path):
    accuracy = table.accuracy.model_copy(update={"tau": float("nan")})
    table.model_copy(update={"accuracy": accuracy}).save(tmp_path / "one.json")
    found = LatencyTable.load(tmp_path / "one.json").accuracy
    assert np.isnan(found.tau)
    assert found.worst == 1.0


def test_a_table_that_lacks_something_is_damaged(tmp_path):
    path = tmp_path / "one.json"
    path.write_text('{"target": 1}')
    with pytest.raises(InputError, match="is damaged; delete it and it is measured again"):
        LatencyTable.load(path)


def test_lengths_of_batches_are_quantiles_of_the_longest_text():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, size=500)
    for batch_size in (1, 8):
        found = padded_lengths(lengths, batch_size, 10)
        drawn = rng.choice(lengths, size=(20000, batch_size)).max(axis=1)
        expected = np.quantile(drawn, (np.arange(10) + 0.5) / 10)
        assert np.abs(np.array(found) - expected).max() <= 1
        assert list(found) == sorted(found)
    assert padded_lengths(np.array([7, 7]), 4, 3) == (7, 7, 7)
    assert padded_lengths(np.array([1, 2, 3, 4]), 1, 4) == (1, 2, 3, 4)


def test_a_target_says_what_it_is():
    task = TARGET.model_copy(update={"sequence_length": "task", "precision": "bfloat16"})
    assert TARGET.name == "cpu-t1-b2-s8-float32"
    assert task.name == "cpu-t1-b2-stask-bfloat16"
    int8 = TARGET.model_copy(update={"runtime": "onnxruntime-int8"})
    assert int8.name == "cpu-t1-b2-s8-float32-onnxruntime-int8"
    assert str(TARGET) == "here, cpu, 1 threads, batch 2, 8 tokens, float32, PyTorch"
    assert str(int8) == "here, cpu, 1 threads, batch 2, 8 tokens, int8, ONNX Runtime"
    with pytest.raises(ValueError, match="lengths are the task's, which are not known yet"):
        _ = task.request_lengths
    assert task.model_copy(update={"lengths": (3, 5)}).request_lengths == (3, 5)
    assert TARGET.request_lengths == (8,)
    with pytest.raises(ValidationError, match="lengths belong to sequence_length 'task', got 8"):
        LatencyTarget(**{**TARGET.model_dump(), "lengths": (3,)})


def test_summary_of_one_and_of_several_lengths():
    one = summary(np.arange(1, 101).reshape(100, 1) / 1e3)
    assert (one.median, one.low, one.high, one.repeats) == pytest.approx((50.5, 25.75, 75.25, 100))
    assert one.p50 == one.median
    assert one.p95 == pytest.approx(95.05)
    two = summary(np.array([[1.0, 9.0], [2.0, 10.0], [3.0, 11.0]]) / 1e3)  # a pass is of mean length
    assert (two.median, two.low, two.high) == pytest.approx((6.0, 5.5, 6.5))
    assert two.p50 == pytest.approx(6.0)
    assert two.p95 == pytest.approx(10.75)


def test_measuring_sets_threads_and_puts_them_back(supernet):
    model = extract(supernet.model, SubnetMask.full(supernet.shape))
    threads = torch.get_num_threads()
    other = TARGET.model_copy(update={"threads": threads + 1, "sequence_length": "task", "lengths": (3, 5)})
    with RUNTIMES["torch"](model, other) as run:
        assert torch.get_num_threads() == threads + 1
        assert run().shape == (2,)
    assert torch.get_num_threads() == threads
    assert measure(model, other, repeats=6, warmup=1).repeats == 6
    bench = Bench(extract(supernet.model, SubnetMask.full(supernet.shape)), other)
    first, second = bench.add(model, extract(supernet.model, SubnetMask.full(supernet.shape)), seconds=5, rounds=2)
    assert torch.get_num_threads() == threads
    assert (first, second) == (0, 1)
    assert min(bench.latency(place).repeats for place in (first, second)) >= 2
    assert bench.reference > 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_pytorch_is_measured_in_each_precision(supernet, precision):
    model = extract(supernet.model, SubnetMask.full(supernet.shape))
    assert measure(model, TARGET.model_copy(update={"precision": precision}), repeats=6, warmup=1).median > 0
    assert model.dtype == getattr(torch, precision)
    assert model.dtype.itemsize == PRECISIONS[precision]


@pytest.mark.parametrize("name", [name for name, runtime in RUNTIMES.items() if runtime.engine])
def test_other_engines_are_measured_too(supernet, name):
    target = TARGET.model_copy(update={"runtime": name, "sequence_length": "task", "lengths": (3, 5)})
    model = extract(supernet.model, SubnetMask.full(supernet.shape).truncated(1))
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with RUNTIMES[name](model, target) as run:
        assert run().shape == (2,)
        assert (run() > 0).all()
    assert measure(model, target, repeats=6, warmup=1).repeats == 6
    bench = Bench(model, target)
    assert bench.seconds == 0
    assert bench.add(model, seconds=5, rounds=2) == [0]
    assert bench.latency(0).median > 0
    assert bench.seconds > 0
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


def test_a_table_for_onnx_runtime(supernet):
    target = TARGET.model_copy(update={"runtime": "onnxruntime"})
    table = calibrate(supernet, target, seconds=0.5)
    assert table.target == target
    assert table.reference > 0
    assert table.accuracy.whole_p50 > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "bfloat16"}, "runs models in float32, and with onnxruntime-int8 in int8, not in bfloat16"),
        ({"device": "cuda"}, "onnxruntime runs on the CPU here, not on cuda; give the device cpu"),
        (
            {"runtime": "openvino", "precision": "bfloat16"},
            "openvino runs models in float32, and with openvino-int8 in int8, not in bfloat16; leave the precision out",
        ),
        ({"runtime": "openvino-int8", "precision": "bfloat16"}, "openvino-int8 runs models in int8, not in bfloat16"),
    ],
)
def test_what_engines_do_not_run(supernet, changes, message):
    target = TARGET.model_copy(update={"runtime": "onnxruntime", **changes})
    with pytest.raises(InputError, match=message), RUNTIMES[target.runtime](supernet.model, target):
        pass


def test_a_busy_machine_is_told():
    assert busy(0.05) is None
    assert busy(float("nan")) is None
    assert "varied by 30% while others were measured" in str(busy(0.3))


def test_rank_correlation():
    assert rank_correlation([1, 2, 3], [2, 4, 9]) == pytest.approx(1)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_the_whole_network_is_measured_like_any_other(supernet):
    """Alone and in turn with others a model is run the same way: its outputs are those it has without a clock."""
    model = extract(supernet.model, SubnetMask.full(supernet.shape))
    ids = torch.arange(4, 12).reshape(1, 8)
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        measure(model, TARGET, repeats=1, warmup=0)
        assert torch.equal(model(input_ids=ids).logits, before)
