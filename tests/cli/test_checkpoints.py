"""Faults of a checkpoint, its configuration or its tokenizer: refused before a folder is made, or right."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.heads import read_outputs
from secateur.supernet.stored.storage import load_config, load_model
from secateur.tests.tiny import padded_batch, tiny_model

from .conftest import sentences, write_csv

SHORT = ["--finetune-epochs", "0.1"]


@pytest.fixture
def checkpoint(tiny_tokenizer, tmp_path) -> Callable[..., Path]:
    """Write a tiny model, whose config.json then gets what a test wants."""

    def write(layout: str = "bert", head: str = "sequence-classification", **config: object) -> Path:
        folder = tmp_path / layout
        model = tiny_model(layout, head)
        model.config.id2label = dict(enumerate(("so-so", "neg", "pos")))
        model.config.label2id = {name: i for i, name in model.config.id2label.items()}
        model.save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        change(folder, **config)
        return folder

    return write


def change(folder: Path, **config: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def base(inputs, tmp_path: Path, **config: object) -> Path:
    """The pre-trained model of the tests, changed."""
    model = shutil.copytree(inputs.model, tmp_path / "model")
    change(model, **config)
    return model


REFUSED = [
    ({"is_decoder": True}, "the configuration has is_decoder, but only encoders are supported"),
    ({"is_decoder": True, "add_cross_attention": True}, "the configuration has is_decoder"),
    ({"add_cross_attention": True}, "the configuration has add_cross_attention, but only encoders"),
    ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key', but only absolute"),
    ({"hidden_act": "prelu"}, "hidden_act is 'prelu', which is not supported; supported activations: gelu, "),
    ({"hidden_act": "nonsense"}, "hidden_act is 'nonsense', which is not supported"),
    ({"pad_token_id": 40}, "pad_token_id is 40, but there are 40 rows of word embeddings; write the id"),
    ({"pad_token_id": -41}, "pad_token_id is -41, but there are 40 rows"),
    ({"type_vocab_size": 0}, "type_vocab_size is 0, but a model of the family bert has at least one token type"),
    ({"num_hidden_layers": 2}, r"has \d+ parameters that its config.json has no place for, encoder.layer.2"),
    ({"num_hidden_layers": 4}, r"lacks \d+ parameters of a bert encoder, bert.encoder.layer.3"),
    ({"num_attention_heads": 3}, r"cannot load the model .*hidden size"),
    ({"intermediate_size": 23}, "its weights have other sizes than config.json"),
    ({"max_position_embeddings": 20}, "its weights have other sizes than config.json"),
]


@pytest.mark.parametrize(("config", "expected"), REFUSED, ids=[str(config) for config, _ in REFUSED])
def test_configurations_that_are_refused(fails, inputs, tmp_path, config, expected):
    out = tmp_path / "run"
    for command in (["finetune", *inputs.project(out, model=base(inputs, tmp_path, **config))], inputs.run(out)):
        if command[0] == "run":
            command[command.index("--model") + 1] = str(tmp_path / "model")
        assert re.search(expected, fails(*command))
        assert not out.exists()


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pad_token_id": None}, "has no pad_token_id, after which the positions of a FAMILY count"),
        ({"pad_token_id": 23}, "pad_token_id is 23, after which the positions of a FAMILY count"),
        ({"is_decoder": True}, "has is_decoder"),
        ({"hidden_act": "xielu"}, "hidden_act is 'xielu'"),
    ],
    ids=str,
)
def test_configurations_of_the_robertas_that_are_refused(fails, checkpoint, family, config, expected):
    folder = checkpoint(family, **config)
    assert expected.replace("FAMILY", family) in fails("convert", folder)
    assert not (folder / "model.onnx").exists()


RIGHT = [
    ("bert", {"chunk_size_feed_forward": 3}),
    ("distilbert", {"chunk_size_feed_forward": 5}),
    ("bert", {"return_dict": False}),
    ("electra", {"output_attentions": True, "output_hidden_states": True}),
    ("distilbert", {"type_vocab_size": 2, "is_decoder": True, "hidden_act": "nonsense"}),
    ("bert", {"pad_token_id": 39}),
    ("bert", {"pad_token_id": None}),
    ("roberta", {"pad_token_id": -1}),
    ("electra", {"hidden_act": "relu"}),
    ("bert", {"problem_type": "multi_label_classification"}),
]


@pytest.mark.parametrize(("layout", "config"), RIGHT, ids=str)
def test_configurations_that_are_right(call, checkpoint, layout, config):
    """They are what transformers computes, cut out as well."""
    folder = checkpoint(layout, **config)
    assert call("convert", folder).code == 0  # compares
    model = load_model(folder)
    given = {"return_dict": True, "chunk_size_feed_forward": 0, "output_attentions": False}
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder, **given)
    ids = torch.tensor([[2, 5, 6, 7, 8, 9, 3], [2, 9, 5, 7, 6, 3, 3]])
    with torch.no_grad():
        expected = theirs(input_ids=ids).logits
    whole = SubnetMask.full(Supernet(model).shape)
    found = Supernet(model).subnet(whole)(ids)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    cut_out = extract(model, whole)
    with torch.no_grad():
        torch.testing.assert_close(cut_out(input_ids=ids).logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers(fails, inputs, tmp_path, value):
    model, out = base(inputs, tmp_path), tmp_path / "run"
    weights = load_file(model / "model.safetensors")
    name = next(name for name in weights if name.endswith("layer.1.intermediate.dense.weight"))
    weights[name][3, 4] = value
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    message = fails("finetune", *inputs.project(out, model=model))
    assert f"{model} has weights that are not finite numbers, bert.{name.removeprefix('bert.')} among them" in message
    assert not out.exists()


def test_more_tokens_than_embeddings(fails, inputs, tiny_tokenizer, tmp_path):
    import copy

    model, out, tokenizer = base(inputs, tmp_path), tmp_path / "run", copy.deepcopy(tiny_tokenizer)
    tokenizer.add_tokens([f"<e{i}>" for i in range(40)])
    tokenizer.save_pretrained(model)
    message = fails("finetune", *inputs.project(out, model=model))
    assert "the tokenizer has 53 tokens (the last is '<e39>'), but the model has 40 rows of word embeddings" in message
    assert not out.exists()


@pytest.fixture
def pairs(tmp_path) -> Path:
    rows = [(text, text, label) for text, label in sentences(100)]
    return write_csv(tmp_path / "pairs.csv", ["text", "text2", "label"], rows)


def typed(folder: Path) -> Path:
    """Let a model's tokenizer give token types."""
    path = folder / "tokenizer_config.json"
    names = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))
    return folder


def pair_options(data: Path, out: Path, model: Path) -> list[object]:
    return [
        "finetune",
        "--model",
        model,
        "--task",
        "local",
        "--data",
        data,
        "--out",
        out,
        "--text-pair-column",
        "text2",
    ]


def test_token_types_that_the_model_lacks(fails, inputs, tiny_tokenizer, pairs, tmp_path):
    out = tmp_path / "run"
    tiny_model("roberta", type_vocab_size=1).roberta.save_pretrained(tmp_path / "roberta")
    tiny_tokenizer.save_pretrained(tmp_path / "roberta")
    message = fails(*pair_options(pairs, out, typed(tmp_path / "roberta")))
    assert "the tokenizer gives token types from 0 to 1, but the model knows 1; take token_type_ids out of" in message
    assert not out.exists()


def test_token_types_that_the_family_lacks_are_left_out(call, tiny_tokenizer, pairs, tmp_path):
    tiny_model("distilbert").distilbert.save_pretrained(tmp_path / "distilbert")
    tiny_tokenizer.save_pretrained(tmp_path / "distilbert")
    result = call(*pair_options(pairs, tmp_path / "run", typed(tmp_path / "distilbert")), *SHORT)
    assert result.code == 0


@pytest.mark.parametrize("head", ["sequence-classification", "token-classification"])
def test_weights_in_several_files_of_pytorch(call, checkpoint, head):
    folder = checkpoint(head=head)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    places = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(weights)}
    for place in {*places.values()}:
        torch.save({name: weights[name] for name, mine in places.items() if mine == place}, folder / place)
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    model = load_model(folder)
    batch = padded_batch(model)
    with torch.no_grad():
        outputs = (read_outputs(one(**batch), batch["attention_mask"]) for one in (model, tiny_model("bert", head)))
        torch.testing.assert_close(*outputs)
    assert load_config(folder).num_hidden_layers == 3
    assert call("convert", folder).code == 0
