"""Folders as other programs expect them, opened as these do, with models whose layers are uneven."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import openvino
import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.shipping.layouts import LAYOUTS, write_layout
from secateur.supernet.shipping.onnx import random_batches
from secateur.supernet.stored.record import check_record
from secateur.tests.conftest import ALL_NAMES
from secateur.tests.tiny import tiny_model
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 1], [5, 24, 0], 12)
TEXTS = ["a truly good film", "bad bad film !"]


def expected(model, encoded):
    with torch.inference_mode():
        return model(**{name: torch.tensor(values) for name, values in encoded.items()}).logits.numpy()


def given(wanted, encoded):
    zeros = np.zeros(np.shape(encoded["input_ids"]))  # of a tokenizer that knows one segment only
    return {name: np.asarray(encoded.get(name, zeros), np.int64) for name in wanted}


def in_onnxruntime(path, encoded):
    session = onnxruntime.InferenceSession(path)
    wanted = [one.name for one in session.get_inputs()]
    return session.run(None, given(wanted, encoded))[0]


def in_openvino(path, encoded):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = [one.get_any_name() for one in model.inputs]
    return model(given(wanted, encoded))[0]


RUN = {"onnxruntime": in_onnxruntime, "openvino": in_openvino}


@pytest.fixture
def uneven(tiny_tokenizer):
    model = tiny_model("bert")
    model.config.id2label, model.config.label2id = {0: "bad", 1: "good", 2: "so-so"}, {"bad": 0, "good": 1, "so-so": 2}
    return extract(model, UNEVEN), tiny_tokenizer


@pytest.mark.parametrize("name", list(LAYOUTS))
def test_each_layout_serves_the_model(name, uneven, tmp_path):
    """By the names of files that its programs open, the configuration and tokenizer of a stock model."""
    model, tokenizer = uneven
    folder, layout = tmp_path / "films", LAYOUTS[name]
    texts = list(random_batches(model, [(1, 7), (1, 12), (1, 3)]))
    for _ in range(2):  # it may be written again
        write_layout(name, model, tokenizer, folder, int8=True, texts=texts)
    place = folder / "tokenizer" if name == "triton" else folder
    config = AutoConfig.from_pretrained(place)
    assert (config.model_type, config.architectures) == ("bert", ["BertForSequenceClassification"])
    assert config.id2label == {0: "bad", 1: "good", 2: "so-so"}
    assert not {"per_layer_config", "auto_map", "head_dim"} & set(json.loads((place / "config.json").read_text()))
    encoded = dict(AutoTokenizer.from_pretrained(place)(TEXTS, padding=True))
    assert Tokenizer.from_file(str(place / "tokenizer.json")).encode(TEXTS[0]).ids == encoded["input_ids"][0]
    plain, int8 = (folder / path.format(name="films") for path in (layout.file, layout.int8_file))
    right = expected(model, encoded)
    np.testing.assert_allclose(RUN[layout.engine](plain, encoded), right, atol=1e-4)
    assert 0 < np.abs(RUN[layout.engine](int8, encoded) - right).max() < 0.5 * np.abs(right).max()
    check_record(folder)
    assert not list(folder.rglob("*.safetensors"))
    assert [item.name for item in tmp_path.iterdir()] == ["films"]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_configurations_are_those_of_stock_models(name, tiny_tokenizer, tmp_path):
    stock = tiny_model(name)
    write_layout("onnx", extract(stock, UNEVEN), tiny_tokenizer, tmp_path / "onnx", int8=False)
    config = AutoConfig.from_pretrained(tmp_path / "onnx")
    assert type(config) is type(stock.config)
    assert config.architectures == [type(stock).__name__]


def test_others_folders_are_left_alone(uneven, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="choose another folder"):
        write_layout("onnx", *uneven, tmp_path / "mine", int8=False)
    with pytest.raises(InputError, match="unknown layout 'tensorrt'; known: onnx, "):
        write_layout("tensorrt", *uneven, tmp_path / "new", int8=False)
    assert [item.name for item in tmp_path.iterdir()] == ["mine"]
