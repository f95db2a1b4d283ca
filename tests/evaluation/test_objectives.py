import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.latency import LatencyTable, LatencyTarget
from secateur.evaluation.latency.runtime import RUNTIMES
from secateur.evaluation.objectives import ERROR, OBJECTIVES, disk, macs, memory, parameters, resolve_objective
from secateur.search_space import Large, Medium, Small, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.stored.storage import save_model
from secateur.tests.tiny import tiny_model
from transformers import BertConfig, BertForSequenceClassification

TARGET = LatencyTarget(machine="here", threads=1, batch_size=2, sequence_length=8)

BASE_MB, ONNXRUNTIME_MB = (RUNTIMES[name].base_mb for name in ("torch", "onnxruntime"))


def test_disk_is_the_size_of_the_saved_file(headed, tiny_tokenizer, tmp_path):
    supernet, rng = Supernet(headed), np.random.default_rng(0)
    spaces = [space(supernet.shape, elastic_hidden=True) for space in (Small, Medium, Large)]
    masks = [space.mask(space.sample(1, rng)[0]) for space in spaces]
    for mask in (*masks, SubnetMask.full(supernet.shape), SubnetMask.full(supernet.shape).truncated(0)):
        folder = tmp_path / mask.key
        save_model(extract(supernet.model, mask), tiny_tokenizer, folder)
        written = sum(path.stat().st_size for path in folder.rglob("model.safetensors"))  # a dense layer has its own
        assert round(disk(supernet).of(mask) * 1e6) == written


def test_parameters_are_those_of_the_extracted_model(headed):
    supernet = Supernet(headed)
    for mask in (
        SubnetMask.full(supernet.shape),
        SubnetMask.from_counts(supernet.shape, [1, 0, 4], [7, 24, 0], 9),
        SubnetMask.from_counts(supernet.shape, [0, 0, 0], [0, 0, 0], 5),
    ):
        extracted = extract(headed, mask)
        assert parameters(supernet).of(mask) == sum(p.numel() for p in extracted.parameters())


def test_memory_is_weights_and_activations_and_a_base(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    full = SubnetMask.full(supernet.shape)
    weights = sum(p.numel() for p in supernet.model.parameters())
    widest = 4 * 16 + 2 * 24 + 4 * 16  # four heads of 4, 24 neurons, 16 dimensions
    expected = BASE_MB + (4 * weights + 2 * 4 * 2 * 8 * widest) / 1e6
    assert memory(supernet, TARGET).of(full) == pytest.approx(expected)
    # In another precision the file's weights are there while they are cast.
    for precision in ("bfloat16", "float16"):
        half = TARGET.model_copy(update={"precision": precision, "batch_size": 1})
        assert memory(supernet, half).of(full) == pytest.approx(BASE_MB + (2 + 4) * weights / 1e6)
    sizes = [memory(supernet, TARGET).of(full.truncated(depth)) for depth in range(4)]
    assert sizes == sorted(sizes)
    long = TARGET.model_copy(update={"sequence_length": "task", "lengths": (2, 8)})
    assert memory(supernet, long).of(full) == memory(supernet, TARGET).of(full)  # of its longest texts


def test_memory_in_onnx_runtime(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    full, nothing = SubnetMask.full(supernet.shape), SubnetMask.full(supernet.shape).truncated(0)
    weights = sum(p.numel() for p in supernet.model.parameters())
    widest = 4 * 16 + 2 * 24 + 4 * 16
    whole, int8 = (TARGET.model_copy(update={"runtime": name}) for name in ("onnxruntime", "onnxruntime-int8"))
    expected = ONNXRUNTIME_MB + (4 * weights + 1.8 * 4 * 2 * 8 * widest) / 1e6
    assert memory(supernet, whole).of(full) == pytest.approx(expected)
    encoder = full.encoder_parameters(supernet.shape)  # packed for integer products, and as it was
    expected = ONNXRUNTIME_MB + (weights + encoder + 3.2 * 4 * 2 * 8 * widest) / 1e6
    assert memory(supernet, int8).of(full) == pytest.approx(expected)
    one = whole.model_copy(update={"batch_size": 1, "sequence_length": 1})  # the table of words, twice while it loads
    left = weights - encoder + 40 * 16
    assert memory(supernet, one).of(nothing) == pytest.approx(ONNXRUNTIME_MB + 4 * left / 1e6)


def test_memory_in_openvino(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    full = SubnetMask.full(supernet.shape)
    weights, encoder = sum(p.numel() for p in supernet.model.parameters()), full.encoder_parameters(supernet.shape)
    for name, size, copies in (("openvino", 4, 0.9), ("openvino-int8", 1, 1.0)):
        target = TARGET.model_copy(update={"runtime": name, "batch_size": 200})
        activations = copies * 4 * 200 * 8 * (4 * 16 + 2 * 24 + 4 * 16)
        expected = RUNTIMES[name].base_mb + (size * (weights + encoder) + activations) / 1e6
        assert memory(supernet, target).of(full) == pytest.approx(expected)


@pytest.mark.parametrize(("head", "outputs"), [("question-answering", 2), ("token-classification", 3)])
def test_macs_of_a_head_that_reads_each_token(head, outputs):
    supernet = Supernet(tiny_model("bert", head))
    narrow = SubnetMask.from_counts(supernet.shape, [0, 0, 0], [0, 0, 0], 9)
    assert macs(supernet, (7,)).of(narrow) == 7 * 9 * outputs


def test_macs_are_the_mean_over_lengths(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    full = SubnetMask.full(supernet.shape)
    alone = [macs(supernet, (length,)).of(full) for length in (3, 9)]
    assert macs(supernet, (3, 9)).of(full) == pytest.approx(sum(alone) / 2)
    per_layer = 4 * 3 * 16 * 16 + 2 * 9 * 16 + 2 * 3 * 16 * 24
    assert alone[0] == 3 * per_layer + 16 * 16 + 3 * 16


@pytest.mark.parametrize(("tokens", "encoder", "ratio"), [(128, 11_173_625_856, 138.67), (384, 35_332_816_896, 160.0)])
def test_macs_of_bert_base(tokens, encoder, ratio):
    """Reference values of the literature's size, as Kwon et al. and KCM count."""
    with torch.device("meta"):
        supernet = Supernet(BertForSequenceClassification(BertConfig()))
    full = SubnetMask.full(supernet.shape)
    count = macs(supernet, (tokens,)).of
    assert count(full) - count(full.truncated(0)) == encoder
    counts = {"heads": [12] * 12, "neurons": [3072] * 12}
    head, neuron = (
        count(full) - count(SubnetMask.from_counts(supernet.shape, **counts | {name: [most - 1, *[most] * 11]}))
        for name, most in (("heads", 12), ("neurons", 3072))
    )
    assert head / neuron == pytest.approx(ratio, abs=0.005)
    if tokens == 128:
        assert (head, neuron) == (27_262_976, 196_608)
        assert 12 * 3072 * neuron / encoder == pytest.approx(0.649, abs=5e-4)
        # KCM at 60 % of the encoder's: all heads stay, and so much is left of the neurons.
        assert (0.6 * encoder - 12 * 12 * head) / (12 * 3072 * neuron) == pytest.approx(0.383, abs=5e-4)


def test_every_objective_is_finite_and_known_by_name(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    part = {"sizes": (1, 4), "milliseconds": (0.1, 0.4)}
    parts = {"target": TARGET, "hidden_sizes": (16,), "base": (0.2,), "attention": (part,), "ffn": (part,)}
    accuracy = {"networks": 8, "worst": 0.1, "tau": 1.0, "whole_p50": 1.0, "whole_p95": 1.1, "spread": 0, "seconds": 1}
    table = LatencyTable.model_validate({**parts, "reference": 1.0, "error": 0.1, "accuracy": accuracy})
    for name, make in OBJECTIVES.items():
        objective = make(supernet, table)
        assert objective.name == name == resolve_objective(name)
        assert np.isfinite(objective.of(SubnetMask.full(supernet.shape)))


def test_short_names():
    assert [resolve_objective(f" {name}") for name in ("latency", "memory", "disk", ERROR)] == [
        "latency_ms",
        "memory_mb",
        "disk_mb",
        "error",
    ]
    with pytest.raises(InputError, match="unknown objective 'speed'; known: disk_mb, encoder_parameters, error, "):
        resolve_objective("speed")
