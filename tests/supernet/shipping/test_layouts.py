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
from secateur.supernet.families.family import POOLINGS
from secateur.supernet.sentence import embedder
from secateur.supernet.sentence_head import SentenceHead
from secateur.supernet.shipping.layouts import LAYOUTS, write_layout
from secateur.supernet.shipping.onnx import random_batches
from secateur.supernet.stored.record import check_record
from secateur.tests.conftest import ALL_NAMES
from secateur.tests.tiny import tiny_model
from sentence_transformers import CrossEncoder, SentenceTransformer
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


def in_onnxruntime(path, encoded, output="logits"):
    session = onnxruntime.InferenceSession(path)
    wanted = [one.name for one in session.get_inputs()]
    return session.run([output], given(wanted, encoded))[0]


def in_openvino(path, encoded, output="logits"):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    wanted = [one.get_any_name() for one in model.inputs]
    return model(given(wanted, encoded))[output]


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
    tokens = folder / "tokenizer" if name == "triton" else folder
    place = folder / "onnx" if name == "sentence-transformers" else tokens  # its own configuration is not a plain one
    config = AutoConfig.from_pretrained(place)
    assert (config.model_type, config.architectures) == ("bert", ["BertForSequenceClassification"])
    assert config.id2label == {0: "bad", 1: "good", 2: "so-so"}
    assert not {"per_layer_config", "auto_map", "head_dim"} & set(json.loads((place / "config.json").read_text()))
    encoded = dict(AutoTokenizer.from_pretrained(tokens)(TEXTS, padding=True))
    assert Tokenizer.from_file(str(tokens / "tokenizer.json")).encode(TEXTS[0]).ids == encoded["input_ids"][0]
    said = json.loads((tokens / "tokenizer_config.json").read_text())
    assert (said["tokenizer_class"], said["model_input_names"]) == ("PreTrainedTokenizerFast", list(encoded))
    right = expected(model, encoded)
    for file in layout.files:
        plain, int8 = (folder / path.format(name="films") for path in (file.path, file.int8_path))
        np.testing.assert_allclose(RUN[file.engine](plain, encoded), right, atol=1e-4)
        assert 0 < np.abs(RUN[file.engine](int8, encoded) - right).max() < 0.5 * np.abs(right).max()
    check_record(folder)
    assert bool(list(folder.rglob("*.safetensors"))) == (name == "sentence-transformers")
    assert [item.name for item in tmp_path.iterdir()] == ["films"]


def encoded_for(loaded, texts):
    """What sentence-transformers gives to the model, in numpy."""
    return {name: values.numpy() for name, values in loaded.preprocess(texts).items() if torch.is_tensor(values)}


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_sentence_transformers_makes_the_vectors_with_each_file(engine, pooling, tiny_tokenizer, tmp_path):
    """By PyTorch, and by its own pooling, dense layer and normalisation of what the file gives."""
    whole, files = (
        tiny_model("modernbert", "embedding"),
        {"config_sentence_transformers.json": {"prompts": {"q": "not "}}},
    )
    head = SentenceHead(3, pooling, activation="tanh", normalize=True, bias=True, files=files)
    model = extract(embedder(whole.encoder, head, dict(whole.projection.named_parameters())), UNEVEN)
    write_layout("sentence-transformers", model, tiny_tokenizer, tmp_path / "films", int8=False)
    loaded = SentenceTransformer(str(tmp_path / "films"), device="cpu", trust_remote_code=True)
    assert loaded.prompts["q"] == "not "
    encoded = encoded_for(loaded, TEXTS)
    with torch.inference_mode():
        right = model(**{name: torch.tensor(values) for name, values in encoded.items()})["sentence_embedding"].numpy()
    np.testing.assert_allclose(loaded.encode(TEXTS), right, atol=1e-4)
    file = next(file for file in LAYOUTS["sentence-transformers"].files if file.engine == engine)
    states = RUN[engine](tmp_path / "films" / file.path, encoded, "last_hidden_state")
    features = {"token_embeddings": torch.tensor(states), "attention_mask": torch.tensor(encoded["attention_mask"])}
    with torch.inference_mode():
        for module in list(loaded)[1:]:
            features = module(features)
    np.testing.assert_allclose(features["sentence_embedding"].numpy(), right, atol=1e-4)


@pytest.mark.parametrize("form", ["stock", "portable"])
def test_cross_encoders_read_rankers_and_classifiers(form, tiny_tokenizer, tmp_path):
    alike = SubnetMask.from_counts(SHAPE, [4, 4, 0], [9, 9, 0])
    for labels, kind in ((1, None), (1, "regression"), (3, "single_label_classification")):
        model = extract(tiny_model("bert", num_labels=labels, problem_type=kind), alike if form == "stock" else UNEVEN)
        write_layout("sentence-transformers", model, tiny_tokenizer, tmp_path / "films", int8=False)
        trusted = {} if form == "stock" else {"trust_remote_code": True}
        loaded = CrossEncoder(str(tmp_path / "films"), device="cpu", **trusted)
        right = expected(model, dict(tiny_tokenizer(TEXTS, TEXTS[::-1], padding=True)))
        right = 1 / (1 + np.exp(-right)) if labels == 1 and kind is None else right  # as scores of rankers are told
        found = loaded.predict([*zip(TEXTS, TEXTS[::-1], strict=True)])
        np.testing.assert_allclose(found.reshape(right.shape), right, atol=1e-4)
        assert (tmp_path / "films" / "onnx" / "config.json").exists() == (form == "portable")
        assert json.loads((tmp_path / "films" / "secateur.json").read_text())["form"] == form


@pytest.mark.parametrize("head", ["question-answering", "token-classification"])
def test_heads_that_its_programs_do_not_read_are_refused(head, tiny_tokenizer, tmp_path):
    message = (
        f"sentence-transformers reads models for embedding and sequence-classification, and this one is for {head}; "
        "choose one of the layouts onnx, transformers-js, tei, openvino, triton"
    )
    with pytest.raises(InputError, match=message):
        write_layout("sentence-transformers", tiny_model("bert", head), tiny_tokenizer, tmp_path / "new", int8=False)
    assert not list(tmp_path.iterdir())


def test_vectors_are_served_without_more(tiny_tokenizer, tmp_path):
    """The file gives them whole; Text Embeddings Inference wants to be told the pooling all the same."""
    files = {"sentence_bert_config.json": {"max_seq_length": 20}}
    whole = tiny_model("bert", "embedding")
    head = SentenceHead(3, "cls", bias=True, files=files)
    model = extract(embedder(whole.encoder, head, dict(whole.projection.named_parameters())), UNEVEN)
    write_layout("tei", model, tiny_tokenizer, tmp_path / "films", int8=False)
    pooling = json.loads((tmp_path / "films" / "1_Pooling" / "config.json").read_text())
    assert [name for name, value in pooling.items() if value is True] == ["pooling_mode_cls_token", "include_prompt"]
    assert pooling["word_embedding_dimension"] == 3
    assert json.loads((tmp_path / "films" / "sentence_bert_config.json").read_text()) == {"max_seq_length": 20}
    assert "secateur" not in (tmp_path / "films" / "config.json").read_text()
    encoded = dict(tiny_tokenizer(TEXTS, padding=True))
    with torch.inference_mode():
        right = model(**{name: torch.tensor(values) for name, values in encoded.items()})["sentence_embedding"].numpy()
    found = in_onnxruntime(tmp_path / "films" / "onnx" / "model.onnx", encoded, "sentence_embedding")
    np.testing.assert_allclose(found, right, atol=1e-4)


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
