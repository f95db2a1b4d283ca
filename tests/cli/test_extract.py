"""`secateur extract`: the forms that it writes, and what it checks before it uploads."""

import json
import shutil

import pytest
from secateur.evaluation.archive import Archive
from secateur.search_space import SubnetMask
from secateur.supernet.families import family_of
from secateur.supernet.stored.record import read_record
from secateur.supernet.stored.storage import load_model
from transformers import AutoModelForSequenceClassification

from .conftest import record


@pytest.fixture
def whole(finished) -> str:
    """The key of the whole network."""
    config = load_model(finished / "supernet").config
    return SubnetMask.full(family_of(config).shape(config)).key


@pytest.fixture
def fewer_heads(finished, whole) -> str:
    """The key of a model whose layers have fewer heads than would fill its width: no stock model."""
    with Archive(finished / "archive.db") as archive:
        every = max(archive.lookup(whole, "selection").mask.heads_per_layer)
        found = archive.evaluations(split="selection")
        return next(one.key for one in found if any(0 < heads < every for heads in one.mask.heads_per_layer))


@pytest.mark.parametrize("form", ["auto", "portable", "secateur"])
def test_a_model_with_fewer_heads(form, call, finished, fewer_heads, tmp_path):
    result = call("extract", finished, "--key", fewer_heads, "--to", tmp_path / "model", "--form", form)
    assert result.code == 0
    written = "portable" if form == "auto" else form
    assert f"{fewer_heads} is in {tmp_path / 'model'} ({written}); load it with" in result.out
    assert "import secateur" in result.out
    assert ("trust_remote_code=True" in result.out) == (written == "portable")
    assert (tmp_path / "model" / "modeling_secateur.py").is_file() == (written == "portable")
    assert read_record(tmp_path / "model").form == written
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")


def test_no_stock_model_of_fewer_heads(fails, finished, fewer_heads, tmp_path):
    message = fails("extract", finished, "--key", fewer_heads, "--to", tmp_path / "model", "--form", "stock")
    assert message.startswith("a stock Bert cannot have ")
    assert message.endswith("; choose the form `portable`, or `auto`")
    assert not (tmp_path / "model").exists()


def test_a_stock_model(call, finished, whole, tmp_path):
    result = call("extract", finished, "--key", whole, "--to", tmp_path / "model")
    assert f"{whole} is in {tmp_path / 'model'} (stock); load it with" in result.out
    assert "import secateur" not in result.out
    assert json.loads((tmp_path / "model" / "config.json").read_bytes())["model_type"] == "bert"


def test_the_card_has_the_picture_and_the_parents_licence(call, finished, inputs, whole, tmp_path):
    assert (finished / "front.png").is_file()
    assert call("extract", finished, "--key", whole, "--to", tmp_path / "model").code == 0
    assert (tmp_path / "model" / "front.png").read_bytes() == (finished / "front.png").read_bytes()
    assert "whose licence is not known here" in (tmp_path / "model" / "README.md").read_text()
    parent = shutil.copytree(inputs.model, tmp_path / "parent")
    (parent / "README.md").write_text("---\nlicense: mit\n---\n")
    for name, model in (("run", parent), ("next", tmp_path / "run" / "finetuned")):  # the second began with the first's
        run = shutil.copytree(finished, tmp_path / name)
        content = record(run)
        content["project"]["model"] = str(model)
        (run / "run.json").write_text(json.dumps(content))
    assert call("extract", tmp_path / "next", "--key", whole, "--to", tmp_path / "model").code == 0
    text = " ".join((tmp_path / "model" / "README.md").read_text().split())
    assert "license: mit" in text
    assert f"The weights come from `{parent}` and stay under its licence, mit." in text


def test_an_upload_is_refused_before_anything_is_written(fails, finished, whole, tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    options = ["extract", finished, "--key", whole, "--to", tmp_path / "model", "--push"]
    assert fails(*options, "a/b/c").startswith("'a/b/c' is no name for the hub")
    assert fails(*options, "owner/model").startswith("there is no token for the Hugging Face hub")
    assert not (tmp_path / "model").exists()
