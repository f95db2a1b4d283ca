"""OpenVINO's files: the same outputs as the model in float32 on every processor, and near ones in int8."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.heads import read_outputs
from secateur.supernet.shipping.engines import ENGINES
from secateur.supernet.shipping.files import EngineFile, engine_files, write_engine_files
from secateur.supernet.shipping.openvino import OpenVinoModel, export_openvino, quantize_openvino, weights_file
from secateur.tests.conftest import ALL_NAMES
from secateur.tests.tiny import random_batch, tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12)
ENGINE = ENGINES["openvino"]


@torch.inference_mode()
def torch_outputs(model, batch):
    return read_outputs(model(**batch.inputs), batch.attention_mask).numpy()


def check(model, path, count=3):
    rng = np.random.default_rng(3)
    found = OpenVinoModel(path, threads=1)
    for batch in (random_batch(model, rng) for _ in range(count)):
        np.testing.assert_allclose(found.outputs(batch), torch_outputs(model, batch), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ALL_NAMES)
def test_uneven_models_of_every_family_agree(name, tmp_path):
    model = extract(tiny_model(name), UNEVEN)
    export_openvino(model, path := tmp_path / "model.xml")
    check(model, path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["model.bin", "model.xml"]


@pytest.mark.parametrize("head", ["question-answering", "token-classification"])
def test_so_do_other_heads(head, tmp_path):
    model = tiny_model("roberta", head)
    export_openvino(model, path := tmp_path / "model.xml")
    check(model, path)


@pytest.mark.parametrize(("name", "most"), [("bert", 0.3), ("modernbert", 0.3), ("deberta-v2", 0.5)])
def test_int8_is_near_and_smaller(name, most, tmp_path):
    """With dropped blocks too; scales are found on texts like those that are read."""
    model, rng = extract(tiny_model(name), UNEVEN), np.random.default_rng(5)
    export_openvino(model, path := tmp_path / "model.xml")
    texts = [random_batch(model, rng, 1, 12) for _ in range(12)]
    quantize_openvino(path, small := tmp_path / "small.xml", [OpenVinoModel(path).feed(text) for text in texts])
    assert weights_file(small).stat().st_size < 0.6 * weights_file(path).stat().st_size
    batches = [random_batch(model, rng) for _ in range(20)]
    expected = np.concatenate([torch_outputs(model, batch) for batch in batches])
    found = np.concatenate([OpenVinoModel(small).outputs(batch) for batch in batches])
    error = np.sqrt(((found - expected) ** 2).mean())
    assert 0 < error < most * expected.std()


def test_which_files_are_meant():
    onnx, openvino = (lambda int8=False, name=name: EngineFile(name, int8) for name in ("onnxruntime", "openvino"))
    cases = {
        (True, False, False): [onnx()],
        (False, True, False): [onnx(True)],
        (True, True, False): [onnx(), onnx(True)],
        (False, False, True): [openvino()],
        (False, True, True): [openvino(), openvino(True)],
        (True, True, True): [onnx(), onnx(True), openvino(), openvino(True)],
    }
    for (first, int8, second), expected in cases.items():
        assert engine_files(onnx=first, int8=int8, openvino=second) == expected


def test_what_was_there_is_replaced_or_stays(tmp_path):
    """A description is never beside another model's weights: they have the same size, and would be read."""
    model, other = tiny_model("bert"), tiny_model("bert")
    with torch.no_grad():
        other.classifier.weight.neg_()
    file = EngineFile("openvino")
    for one in (model, other):
        paths = write_engine_files(one, tmp_path, [file])
        assert [path.name for path in paths] == ["openvino_model.xml", "openvino_model.bin"]
        check(one, file.path(tmp_path), 1)
    broken = tiny_model("bert")
    with torch.no_grad():
        broken.classifier.bias[0] = float("nan")
    with pytest.raises(InputError, match=r"the OpenVINO file of this BertForSequence.* by up to nan"):
        write_engine_files(broken, tmp_path, [file])
    check(other, file.path(tmp_path), 1)
    assert len(list(tmp_path.iterdir())) == 2


def test_files_that_do_not_load_are_one_line(tmp_path):
    with pytest.raises(InputError, match=r"there is no file .*none.xml'; give an .xml file"):
        OpenVinoModel(tmp_path / "none.xml")
    path = tmp_path / "model.xml"
    export_openvino(tiny_model("bert"), path)
    weights_file(path).unlink()
    with pytest.raises(InputError, match=r"there is no file .*model.bin'; give the weights that belong to model.xml"):
        OpenVinoModel(path)
    export_openvino(tiny_model("bert"), path)
    path.write_text(path.read_text()[:-1000])
    with pytest.raises(InputError, match=r"model.xml is damaged or no OpenVINO model .*; export it again") as caught:
        OpenVinoModel(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("missing", "int8"), [("openvino", False), ("nncf", True)])
def test_without_the_extra_one_line_says_so(missing, int8, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(InputError, match=rf"{missing} cannot be imported .*pip install 'secateur\[openvino\]'"):
        ENGINE.check_installed(int8=int8)
