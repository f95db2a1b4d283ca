"""Damaged, changed and half-gone checkpoints, and folders that are not to be touched: one line each."""

import json
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file, save_file
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.shipping.checkpoint import card_of, write_card, write_checkpoint
from secateur.supernet.stored.storage import load_model
from secateur.tests.supernet.cards import FACTS
from secateur.tests.supernet.refusals import message_of

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 2], [24, 7, 0], 13)
ALIKE = SubnetMask.from_counts(SHAPE, [4, 4, 4], [5, 5, 5])
CODE, RECORD = "modeling_secateur.py", "secateur.json"


@pytest.fixture(scope="module")
def written(tiny_models, tiny_tokenizer, tmp_path_factory):
    """A portable and a stock checkpoint."""
    place = tmp_path_factory.mktemp("written")
    for form, mask in (("portable", UNEVEN), ("stock", ALIKE)):
        write_checkpoint(extract(tiny_models["bert"], mask), tiny_tokenizer, place / form, FACTS, form=form)
    return place


@pytest.fixture(params=["portable", "stock"])
def checkpoint(request, written, tmp_path):
    """A copy of either."""
    return shutil.copytree(written / request.param, tmp_path / "model")


@pytest.fixture
def portable(written, tmp_path):
    return shutil.copytree(written / "portable", tmp_path / "model")


def change_config(folder, **values):
    """Change keys of config.json; None removes one."""
    config = json.loads((folder / "config.json").read_bytes()) | values
    config = {name: value for name, value in config.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(config))


def flip(path, place=-5):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_untouched_checkpoints_load(checkpoint):
    load_model(checkpoint)
    (checkpoint / "README.md").write_text("my own words")
    (checkpoint / "model.onnx").touch()
    load_model(checkpoint)


def test_changed_code_is_noticed(portable):
    with (portable / CODE).open("a") as file:
        file.write("\nimport os\n")
    assert message_of(load_model, portable) == (
        f"{portable / CODE} is not the file that Secateur wrote (its sha256 differs); get the checkpoint again, or "
        f"delete {RECORD} if this change is yours"
    )
    (portable / RECORD).unlink()
    load_model(portable)


def test_code_that_is_gone_is_noticed(portable):
    (portable / CODE).unlink()
    assert f"{portable / CODE} is gone; get the checkpoint again" in message_of(load_model, portable)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json"])
def test_a_bit_that_has_flipped_is_noticed(checkpoint, name):
    flip(checkpoint / name, -3 if name.endswith("tensors") else -1)
    assert f"{checkpoint / name} is not the file that Secateur wrote" in message_of(load_model, checkpoint)


@pytest.mark.parametrize("length", [0, 5, 100, -1, -400])
def test_truncated_weights_are_noticed(checkpoint, length):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    message = message_of(load_model, checkpoint)
    assert message.startswith(f"cannot load the model '{checkpoint}': its files are damaged, incomplete")
    assert "SafetensorError" in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"head_dim": None}, "its weights have other sizes than config.json"),
        ({"classifier_size": None}, "its weights have other sizes than config.json"),
        ({"per_layer_config": None}, "its weights have other sizes than config.json"),
        ({"hidden_size": 12}, "its weights have other sizes than config.json"),
        ({"num_hidden_layers": None}, "lacks [0-9]+ parameters of a bert encoder"),
        ({"num_hidden_layers": 2}, "per_layer_config. keys must be"),
        ({"per_layer_config": "x"}, "damaged"),
        ({"per_layer_config": {"0": {"num_attention_heads": -3}}}, "damaged"),
        (
            {"per_layer_config": {"0": {"num_attention_heads": 3, "skip": ["mlp"]}}},
            "its weights have other sizes than config.json",
        ),
        ({"model_type": "secateur-roberta"}, "lacks [0-9]+ parameters of a roberta encoder"),
        ({"layer_norm_eps": 1e-3}, "config.json is not the file that Secateur wrote"),
        ({"hidden_act": "relu"}, "config.json is not the file that Secateur wrote"),
    ],
)
def test_configurations_that_lack_or_garble_something(portable, values, expected):
    change_config(portable, **values)
    with pytest.raises(InputError, match=expected):
        load_model(portable)
    message_of(load_model, portable)


@pytest.mark.parametrize("kind", [None, "secateur-gpt", 7])
def test_nobody_is_asked_to_run_the_code_of_an_unknown_kind(portable, kind, monkeypatch):
    questions = []
    monkeypatch.setattr("builtins.input", lambda question="": questions.append(question) or "y")
    change_config(portable, model_type=kind)
    message = message_of(load_model, portable)
    assert "damaged, incomplete or of an unknown kind" in message
    assert not questions


def test_weights_that_the_configuration_has_no_place_for_are_noticed(written, tmp_path):
    """Without them it would be another model, whose outputs nobody would think wrong."""
    stock = shutil.copytree(written / "stock", tmp_path / "model")
    (stock / RECORD).unlink()
    change_config(stock, num_hidden_layers=2)
    message = message_of(load_model, stock)
    assert message.startswith(f"{stock} has 16 parameters that its config.json has no place for, bert.encoder.layer.2.")


def test_tensors_that_are_gone_are_noticed(portable):
    path = portable / "model.safetensors"
    weights = load_file(path)
    del weights["bert.encoder.layer.1.output.dense.bias"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "lacks 1 parameters of a bert encoder, bert.encoder.layer.1.output.dense.bias" in message_of(
        load_model, portable
    )


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[1]", b"\xff", b'{"form": "zip", "card": {}, "sha256": {}}'])
def test_a_damaged_record(checkpoint, content):
    (checkpoint / RECORD).write_bytes(content)
    expected = f"{checkpoint / RECORD} is damaged, so what lies beside it cannot be checked; get the checkpoint again"
    assert message_of(load_model, checkpoint) == expected
    assert message_of(write_card, checkpoint, FACTS) == expected


def test_a_damaged_card(checkpoint):
    record = json.loads((checkpoint / RECORD).read_bytes())
    for card in ({}, {"mask": 3}, record["card"] | {"shape": {}}, record["card"] | {"colour": "red"}):
        (checkpoint / RECORD).write_text(json.dumps(record | {"card": card}))
        assert f"what {checkpoint / RECORD} says of the card is damaged" in message_of(card_of, checkpoint)


def test_other_folders_are_left_alone(tiny_models, tiny_tokenizer, tmp_path):
    model = extract(tiny_models["bert"], UNEVEN)
    others = {
        "thesis": {"thesis.tex": "words"},
        "bert": {"config.json": '{"model_type": "bert"}'},
        "hidden": {".x": ""},
    }
    for name, files in others.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text)
    (tmp_path / "file").write_text("words")
    before = contents(tmp_path)
    for name in (*others, "file"):
        for form in ("auto", "secateur"):
            assert message_of(write_checkpoint, model, tiny_tokenizer, tmp_path / name, FACTS, form=form) == (
                f"{tmp_path / name} exists and is no extracted model; choose another folder, or remove it yourself"
            )
    assert contents(tmp_path) == before
    (tmp_path / "empty").mkdir()
    write_checkpoint(model, tiny_tokenizer, tmp_path / "empty", FACTS)
    load_model(tmp_path / "empty")


def test_what_secateur_wrote_is_replaced_whatever_its_state(checkpoint, tiny_models, tiny_tokenizer):
    (checkpoint / "config.json").write_bytes(b"{")
    write_checkpoint(extract(tiny_models["bert"], UNEVEN), tiny_tokenizer, checkpoint, FACTS)
    assert load_model(checkpoint).config.secateur_key == UNEVEN.key
    assert [path.name for path in checkpoint.parent.iterdir()] == ["model"]


def test_a_picture_that_is_not_there_leaves_the_old_checkpoint(checkpoint, tiny_models, tiny_tokenizer, tmp_path):
    before = contents(checkpoint)
    model = extract(tiny_models["bert"], UNEVEN)
    message = message_of(write_checkpoint, model, tiny_tokenizer, checkpoint, FACTS, picture=tmp_path / "nothing.png")
    assert message == f"cannot write {checkpoint}: No such file or directory; choose another place"
    assert contents(checkpoint) == before


def test_a_card_is_written_anew(checkpoint, tmp_path):
    (tmp_path / "drawn.png").write_bytes(b"\x89PNG")
    assert card_of(checkpoint) == FACTS
    facts = replace(FACTS, report={"validation": 0.75}, sections={"Served": "on a tray"})
    write_card(checkpoint, facts, picture=tmp_path / "drawn.png")
    text = (checkpoint / "README.md").read_text()
    assert "on a tray" in text
    assert "](front.png)" in text
    assert (checkpoint / "front.png").read_bytes() == b"\x89PNG"
    assert card_of(checkpoint) == facts
    write_card(checkpoint, FACTS)
    assert "](front.png)" in (checkpoint / "README.md").read_text()
    load_model(checkpoint)
    assert not [path.name for path in checkpoint.iterdir() if path.name.endswith(".part")]


def test_only_a_checkpoint_has_a_card(tmp_path):
    assert message_of(write_card, tmp_path, FACTS) == (
        f"{tmp_path} is no checkpoint that Secateur wrote; give one, as `secateur extract` writes it"
    )
    assert not list(tmp_path.iterdir())
