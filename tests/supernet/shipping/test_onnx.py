"""ONNX files: the same outputs as the model, whatever it keeps and however long the texts are; and int8."""

from __future__ import annotations

import copy
import re
import sys
import time

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import transformers
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.heads import head_of, read_outputs
from secateur.supernet.packed.packed import mark_slabs
from secateur.supernet.packed.slabs import Slabs
from secateur.supernet.shipping.engines import ENGINES
from secateur.supernet.shipping.files import EngineFile, int8_gap, too_far
from secateur.supernet.shipping.graph import LOWEST_OPSET, onnx_graph
from secateur.supernet.shipping.onnx import export_onnx, quantize_onnx
from secateur.supernet.shipping.session import OnnxModel
from secateur.supernet.stored.storage import load_model
from secateur.tasks.batches import Batch
from secateur.tests.tiny import random_batch, same_weights, tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
TOLERANCE = 1e-4


def random_mask(rng):
    """Keep scattered units of scattered blocks, and some dimensions; one layer may be dropped as a whole."""
    heads = (rng.random((3, 4)) < 0.6) & (rng.random((3, 1)) < 0.6)
    neurons = (rng.random((3, 24)) < 0.6) & (rng.random((3, 1)) < 0.6)
    hidden = rng.random(16) < rng.uniform(0.3, 1.0)
    hidden[rng.integers(16)] = True
    return SubnetMask(heads, neurons, hidden)


@torch.inference_mode()
def torch_outputs(model, batch):
    return read_outputs(model(**batch.inputs), batch.attention_mask).numpy()


def worst_difference(model, exported, rng, count):
    batches = [random_batch(model, rng) for _ in range(count)]
    return max(np.abs(exported.outputs(batch) - torch_outputs(model, batch)).max() for batch in batches)


def test_reloaded_and_exported_models_agree(headed, tmp_path):
    """Of every family with every head: random masks, and batches of other sizes than the export was checked on."""
    rng = np.random.default_rng(7)
    masks = [SubnetMask.full(SHAPE), SubnetMask.full(SHAPE).truncated(0), *(random_mask(rng) for _ in range(4))]
    assert any(not heads for mask in masks[2:] for heads in mask.heads_per_layer)
    assert any(not neurons for mask in masks[2:] for neurons in mask.neurons_per_layer)
    assert len({mask.hidden_size for mask in masks}) >= 3
    for i, mask in enumerate(masks):
        extracted = extract(headed, mask)
        extracted.save_pretrained(tmp_path / str(i))
        reloaded = load_model(tmp_path / str(i))
        batch = random_batch(extracted, rng)
        assert same_weights(reloaded, extracted)
        expected = torch_outputs(extracted, batch)
        np.testing.assert_allclose(torch_outputs(reloaded, batch), expected, atol=TOLERANCE, rtol=0)
        export_onnx(reloaded, tmp_path / f"{i}.onnx")
        assert worst_difference(extracted, OnnxModel(tmp_path / f"{i}.onnx"), rng, 5) <= TOLERANCE


def test_a_text_without_a_real_token_is_what_transformers_makes_of_it(headed, tmp_path):
    for i, model in enumerate((headed, extract(headed, SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12)))):
        export_onnx(model, tmp_path / f"{i}.onnx")
        batch = random_batch(model, np.random.default_rng(0), 4, 9)
        batch.attention_mask[2] = False
        exported = OnnxModel(tmp_path / f"{i}.onnx")
        found = exported.run(exported.feed(batch))
        with torch.inference_mode():
            expected = model(**batch.inputs)
        # Of padding, too, but where what a token sees depends on its place: what padding sees then is nobody's concern.
        read = torch.ones_like(batch.attention_mask)
        if model.config.model_type.endswith(("modernbert", "deberta-v2")):
            read = batch.attention_mask | ~batch.attention_mask.any(dim=1, keepdim=True)
        for name, values in found.items():
            rows = read if values.shape[1:2] == read.shape[1:] else torch.ones(len(read), dtype=torch.bool)
            torch.testing.assert_close(values[rows], expected[name][rows], atol=TOLERANCE, rtol=0)


def test_a_hundred_random_batches(tmp_path):
    model = extract(tiny_model("bert"), SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12))
    path = tmp_path / "model.onnx"
    export_onnx(model, path)
    assert worst_difference(model, OnnxModel(path, threads=1), np.random.default_rng(0), 100) <= TOLERANCE
    assert [item.name for item in tmp_path.iterdir()] == ["model.onnx"]
    before = path.read_bytes()
    export_onnx(model, path)
    assert path.read_bytes() == before


def test_nothing_works_on_after_a_pass(tmp_path):
    """Threads that wait busily for the next pass would take the time of what is measured in turn with it."""
    model = tiny_model("bert")
    export_onnx(model, tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx", threads=2)
    batch = random_batch(model, np.random.default_rng(0), 256, 24)  # enough work for two threads
    exported.outputs(batch)
    begin = time.process_time()
    time.sleep(0.05)
    assert time.process_time() - begin < 0.01  # 0.024 if they do


def test_an_ordinary_model_is_exported_too(headed, tmp_path):
    rng = np.random.default_rng(1)
    export_onnx(headed, tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx")
    assert worst_difference(headed, exported, rng, 3) <= TOLERANCE
    batch = random_batch(headed, rng, 3, 6)
    if "token_type_ids" in exported.inputs:  # a task without segments: all tokens are of the first
        first = Batch(batch.input_ids, None, batch.attention_mask, batch.labels, batch.index)
        assert np.abs(exported.outputs(first) - torch_outputs(headed, first)).max() <= TOLERANCE
        assert np.abs(exported.outputs(first) - exported.outputs(batch)).max() > TOLERANCE


@pytest.mark.parametrize("head", ["sequence-classification", "question-answering", "token-classification"])
def test_onnxruntime_alone_serves_the_file(head, tmp_path):
    model = tiny_model("electra with projection", head)
    export_onnx(model, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    axes = {one.name: one.shape for one in (*session.get_inputs(), *session.get_outputs())}
    assert axes["input_ids"] == axes["attention_mask"] == axes["token_type_ids"] == ["batch", "length"]
    expected = {
        "sequence-classification": {"logits": ["batch", 3]},
        "question-answering": {"start_logits": ["batch", "length"], "end_logits": ["batch", "length"]},
        "token-classification": {"logits": ["batch", "length", 3]},
    }[head]
    assert {one.name: one.shape for one in session.get_outputs()} == expected
    batch = random_batch(model, np.random.default_rng(3), 2, 9)
    found = session.run(None, {name: tensor.numpy() for name, tensor in batch.inputs.items()})
    with torch.inference_mode():
        reference = model(**batch.inputs)
    for name, values in zip(expected, found, strict=True):
        real = batch.real.numpy() if values.ndim > 1 and values.shape[1] == 9 else slice(None)
        assert np.abs(values - reference[name].numpy())[real].max() <= TOLERANCE
    assert session.get_modelmeta().custom_metadata_map["head"] == head


def test_a_model_in_another_precision_and_in_training_is_left_so(tmp_path):
    model = tiny_model("roberta").to(torch.bfloat16).train()
    export_onnx(model, tmp_path / "model.onnx")
    assert model.training
    assert model.dtype == torch.bfloat16
    whole = tiny_model("roberta").to(torch.bfloat16).float()
    assert worst_difference(whole, OnnxModel(tmp_path / "model.onnx"), np.random.default_rng(0), 2) <= TOLERANCE


def test_removed_groups_of_weights_are_zeros(tmp_path):
    model = tiny_model("bert")
    path = "bert.encoder.layer.1.intermediate.dense"
    with torch.no_grad():
        model.get_submodule(path).weight[:, :8] = 0
    expected = tiny_model("bert")
    expected.load_state_dict(model.state_dict())
    mark_slabs(model, {path: Slabs("row", (8, 8))})
    export_onnx(model, tmp_path / "model.onnx")
    assert worst_difference(expected, OnnxModel(tmp_path / "model.onnx"), np.random.default_rng(0), 2) <= TOLERANCE


def test_every_opset_that_both_know_gives_the_same(tmp_path):
    model = tiny_model("roberta", "question-answering")
    batch = random_batch(model, np.random.default_rng(0), 3, 7)
    newest = onnx.defs.onnx_opset_version()
    run = 0
    for opset in range(LOWEST_OPSET, newest + 1):
        graph = onnx_graph(model, opset)
        onnx.checker.check_model(graph, full_check=True)
        assert [(one.domain, one.version) for one in graph.opset_import] == [("", opset)]
        try:
            export_onnx(model, tmp_path / f"{opset}.onnx", opset=opset)
        except InputError as error:
            assert "in a version of ONNX that onnxruntime" in str(error)  # noqa: PT017
            continue
        run += 1
        found = OnnxModel(tmp_path / f"{opset}.onnx").outputs(batch)
        assert np.abs(found - torch_outputs(model, batch)).max() <= TOLERANCE
    assert run >= 3
    for opset in (LOWEST_OPSET - 1, newest + 1):
        with pytest.raises(InputError, match=f"expected an ONNX opset from {LOWEST_OPSET} to {newest}, got {opset}"):
            export_onnx(model, tmp_path / "none.onnx", opset=opset)
    assert not (tmp_path / "none.onnx").exists()


def test_int8_is_near_and_smaller(tmp_path):
    """With dropped blocks too, whose matrices are not there: one of width zero ruins it."""
    rng = np.random.default_rng(5)
    for mask in (SubnetMask.full(SHAPE), SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12)):
        model = extract(tiny_model("bert"), mask)
        path, small = tmp_path / "model.onnx", tmp_path / "small.onnx"
        export_onnx(model, path)
        quantize_onnx(path, small)
        matrices = [one for one in onnx.load(small).graph.initializer if len(one.dims) == 2]
        kinds = {one.data_type for one in matrices}
        assert kinds == {onnx.TensorProto.INT8, onnx.TensorProto.UINT8}  # maps, tables
        assert sum(len(one.raw_data) for one in matrices) == sum(p.numel() for p in model.parameters() if p.ndim == 2)
        batches = [random_batch(model, rng) for _ in range(20)]
        expected = np.concatenate([torch_outputs(model, batch) for batch in batches])
        found = np.concatenate([OnnxModel(small).outputs(batch) for batch in batches])
        error = np.sqrt(((found - expected) ** 2).mean())
        assert 0 < error < 0.05 * expected.std()
        again = np.concatenate([ENGINES["onnxruntime"].opened(model, int8=True).outputs(batch) for batch in batches])
        assert np.sqrt(((again - found) ** 2).mean()) < 0.2 * error
        plain = ENGINES["onnxruntime"].opened(model, int8=False).outputs(batches[0])
        np.testing.assert_allclose(plain, OnnxModel(path).outputs(batches[0]), atol=TOLERANCE, rtol=0)


def test_int8_products_do_not_overflow_in_16_bits(headed, tmp_path):
    """ONNX Runtime adds two of them without VNNI: of activations up to 255 and weights in their full range too many."""
    export_onnx(headed, tmp_path / "model.onnx")
    quantize_onnx(tmp_path / "model.onnx", tmp_path / "small.onnx")
    maps = [
        onnx.numpy_helper.to_array(one).astype(int)
        for one in onnx.load(tmp_path / "small.onnx").graph.initializer
        if len(one.dims) == 2 and one.data_type == onnx.TensorProto.INT8
    ]
    assert maps
    assert all(np.abs(weights).max() > 32 and 2 * 255 * np.abs(weights).max() <= 2**15 - 1 for weights in maps)


def test_an_int8_file_that_is_far_off_is_told_of(headed, tmp_path):
    path, small = tmp_path / "model.onnx", tmp_path / "model-int8.onnx"
    export_onnx(headed, path)
    quantize_onnx(path, small)
    file = EngineFile("onnxruntime", int8=True)
    assert file.path(tmp_path) == small
    assert 0 < int8_gap(headed, OnnxModel(small)) < 0.2
    assert too_far(headed, file, tmp_path) is None
    broken = copy.deepcopy(headed)
    with torch.no_grad():
        for parameter in broken.parameters():
            parameter.mul_(1 + torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    export_onnx(broken, path)
    quantize_onnx(path, small)
    assert re.search(
        r"model-int8.onnx differs from the float32 model by \d+\.\d\d of .*, where 0.25",
        too_far(headed, file, tmp_path),
    )


def changed(model, change):
    graph = onnx_graph(model)
    change(graph)
    return graph.SerializeToString()


DAMAGE = {
    "cut short": (lambda model: onnx_graph(model).SerializeToString()[:-100], "is damaged or no ONNX model"),
    "empty": (lambda model: b"", "is damaged or no ONNX model"),
    "text": (lambda model: b"hello " * 20, "is damaged or no ONNX model"),
    "opset": (
        lambda model: changed(model, lambda graph: setattr(graph.opset_import[0], "version", 99)),
        "is in a version of ONNX that onnxruntime .* does not run; export it with a lower opset, or install a newer",
    ),
    "IR version": (
        lambda model: changed(model, lambda graph: setattr(graph, "ir_version", 99)),
        "is in a version of ONNX that onnxruntime .* does not run",
    ),
    "operator": (
        lambda model: changed(model, lambda graph: setattr(graph.graph.node[2], "op_type", "Nothing")),
        r"is damaged or no ONNX model \(This is an invalid model.*; export it again",
    ),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_a_file_that_does_not_load_is_one_line(kind, tmp_path, capfd):
    make, message = DAMAGE[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(make(tiny_model("bert")))
    for use in (OnnxModel, lambda path: quantize_onnx(path, tmp_path / "small.onnx")):
        with pytest.raises(InputError, match=message) as caught:
            use(path)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "small.onnx").exists()
    assert capfd.readouterr() == ("", "")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        OnnxModel(tmp_path / "none.onnx")
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "other", values[:1], values[1:])
    other = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"turns x into y; expected a text model with input_ids"):
        OnnxModel(tmp_path / "other.onnx")


def test_what_disagrees_is_not_kept(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_text("before")
    model = tiny_model("bert")
    model.bert.encoder.layer[1].register_forward_hook(lambda module, given, output: output * 1.01)
    with pytest.raises(InputError, match=r"gives other outputs than the model, by up to .* where 0.0001 is allowed"):
        export_onnx(model, path)
    broken = tiny_model("bert")
    with torch.no_grad():
        broken.classifier.bias[0] = float("nan")
    with pytest.raises(InputError, match="by up to nan"):
        export_onnx(broken, path)
    assert path.read_text() == "before"
    assert [item.name for item in tmp_path.iterdir()] == ["model.onnx"]


def test_models_that_cannot_be_exported(tmp_path):
    sizes = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    albert = transformers.AlbertForSequenceClassification(transformers.AlbertConfig(embedding_size=8, **sizes))
    with pytest.raises(InputError, match="the family 'albert' are not supported"):
        export_onnx(albert, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="BertModel has no head for"):
        export_onnx(tiny_model("bert").bert, tmp_path / "model.onnx")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/model.onnx: .*; choose another place"):
        export_onnx(tiny_model("bert"), tmp_path / "file" / "model.onnx")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_without_the_extra_one_line_says_so(missing, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(InputError, match=rf"{missing} cannot be imported .*pip install 'secateur\[onnx\]'"):
        export_onnx(tiny_model("bert"), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
    assert head_of(tiny_model("bert")) == "sequence-classification"
