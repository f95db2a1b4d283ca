"""Checkpoints with their code beside them: the same outputs with Secateur, and with transformers alone."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import modeling_secateur
from secateur.supernet.extraction import extract
from secateur.supernet.families import FAMILIES
from secateur.supernet.heads import auto_class
from secateur.supernet.shipping.checkpoint import write_checkpoint
from secateur.supernet.stored.storage import load_model, load_tokenizer
from secateur.tests.supernet.cards import FACTS
from secateur.tests.tiny import padded_batch, same_weights, tiny_model
from transformers import AutoModelForSequenceClassification

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
TOLERANCE = 1e-5
LAYOUTS = (*FAMILIES, "electra with projection")
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 2], [24, 7, 0], 13)
ALIKE = SubnetMask.from_counts(SHAPE, [4, 0, 4], [5, 0, 5])

# A process in which nothing of Secateur can be imported.
ALONE = """
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "secateur":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import torch, transformers
transformers.utils.logging.disable_progress_bar()
place, found = sys.argv[1], {}
for name, kind in json.loads(sys.argv[2]).items():
    folder = f"{place}/{name}"
    trust = True if "portable" in name else None
    model = getattr(transformers, kind).from_pretrained(folder, trust_remote_code=trust)
    with torch.no_grad():
        outputs = dict(model(**torch.load(f"{folder}.batch")))
    label = None
    if "QuestionAnswering" not in kind:
        task = "text-classification" if "Sequence" in kind else "token-classification"
        label = transformers.pipeline(task, folder, trust_remote_code=trust, device="cpu")("a truly good film")
        label = [one.get("label", one.get("entity")) for one in label]
    found[name] = type(model).__name__, outputs, label
    if name == "bert for sequence-classification, portable":
        model.save_pretrained(f"{place}/again")
        model = getattr(transformers, kind).from_pretrained(f"{place}/again", trust_remote_code=True)
        with torch.no_grad():
            found["again"] = type(model).__name__, dict(model(**torch.load(f"{folder}.batch"))), None
assert not any(name.partition(".")[0] == "secateur" for name in sys.modules)
torch.save(found, f"{place}/found")
"""


def masks(count: int) -> list[SubnetMask]:
    """Return random masks that drop blocks and narrow the residual stream."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        heads, neurons, hidden = rng.random((3, 4)) < 0.6, rng.random((3, 24)) < 0.4, rng.random(16) < 0.8
        heads[rng.integers(3)], neurons[rng.integers(3)], hidden[0] = False, False, True
        made.append(SubnetMask(heads, neurons, hidden))
    return made


@pytest.fixture(scope="module")
def alone(tiny_tokenizer, tmp_path_factory):
    """Models by folder name, and what transformers alone made of their folders."""
    place, models = tmp_path_factory.mktemp("alone"), {}
    cases = [(layout, head) for layout in LAYOUTS for head in FAMILIES[layout.partition(" ")[0]].heads]
    cases = [
        (layout, head) for layout, head in cases if head != "embedding"
    ]  # an encoder: tests/supernet/test_sentence.py
    for (layout, head), mask in zip(cases, masks(len(cases)), strict=True):
        parent = tiny_model(layout, head)
        forms = ("portable", "stock") if layout != "electra with projection" else ("portable",)
        for form in forms:
            name, model = f"{layout} for {head}, {form}", extract(parent, mask if form == "portable" else ALIKE)
            assert write_checkpoint(model, tiny_tokenizer, place / name, FACTS) == form
            torch.save(padded_batch(parent), place / f"{name}.batch")
            models[name] = model, head, padded_batch(parent)
    kinds = json.dumps({name: auto_class(head) for name, (_, head, _) in models.items()})
    environment = os.environ | {"HF_MODULES_CACHE": str(place / "modules"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-I", "-W", "error", "-c", ALONE, str(place), kinds]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return models, torch.load(place / "found")


def test_transformers_alone_gives_the_same_outputs(alone):
    models, found = alone
    assert len(models) == 2 * 34 + 3  # forms and heads, of which an ELECTRA with a projection has one form
    for name, (model, head, batch) in models.items():
        kind, outputs, labels = found[name]
        with torch.no_grad():
            expected = model(**batch)
        assert kind == type(model).__name__.removeprefix("Extracted" if "stock" in name else "")
        assert outputs.keys() == expected.keys()
        for key in expected:
            torch.testing.assert_close(outputs[key], expected[key], atol=TOLERANCE, rtol=0, msg=name)
        count = {"sequence-classification": 1, "token-classification": 4, "question-answering": None}[head]
        assert (None if labels is None else len(labels)) == count


def test_a_model_that_was_loaded_without_secateur_can_be_saved_again(alone):
    models, found = alone
    model, _, batch = models["bert for sequence-classification, portable"]
    kind, outputs, _ = found["again"]
    assert kind == "ExtractedBertForSequenceClassification"
    with torch.no_grad():
        torch.testing.assert_close(outputs["logits"], model(**batch).logits, atol=TOLERANCE, rtol=0)


@pytest.fixture
def portable(tiny_models, tiny_tokenizer, tmp_path):
    """A model and the folder that it was written to."""
    model = extract(tiny_models["bert"], UNEVEN)
    assert write_checkpoint(model, tiny_tokenizer, tmp_path / "model", FACTS, form="portable") == "portable"
    return model, tmp_path / "model"


def test_the_code_is_the_file_that_secateur_runs(portable):
    model, folder = portable
    written = (folder / "modeling_secateur.py").read_bytes()
    with open(modeling_secateur.__file__, "rb") as file:
        assert written == file.read()
    assert json.loads((folder / "config.json").read_bytes())["auto_map"] == {
        "AutoConfig": "modeling_secateur.ExtractedBertConfig",
        "AutoModelForSequenceClassification": "modeling_secateur.ExtractedBertForSequenceClassification",
    }
    loaded = load_model(folder)
    assert type(loaded) is type(model)
    asked = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    assert type(asked) is type(model)  # what is installed, not what lies there
    assert len(load_tokenizer(folder)("a good film")["input_ids"]) == 5


def test_without_the_code_only_secateur_loads_it(tiny_models, tiny_tokenizer, tmp_path):
    model = extract(tiny_models["roberta"], UNEVEN)
    assert write_checkpoint(model, tiny_tokenizer, tmp_path / "model", FACTS, form="secateur") == "secateur"
    assert not list((tmp_path / "model").glob("*.py"))
    assert "auto_map" not in json.loads((tmp_path / "model" / "config.json").read_bytes())
    assert same_weights(load_model(tmp_path / "model"), model)


def test_each_form_has_its_card(portable, tiny_tokenizer, tmp_path):
    model, folder = portable
    assert "trust_remote_code=True" in (folder / "README.md").read_text()
    write_checkpoint(model, tiny_tokenizer, tmp_path / "other", FACTS, form="secateur")
    assert "trust_remote_code" not in (tmp_path / "other" / "README.md").read_text()


def test_the_same_model_gives_the_same_files(portable, tiny_tokenizer, tmp_path):
    model, folder = portable
    write_checkpoint(model, tiny_tokenizer, tmp_path / "other", FACTS, form="portable")
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "other").iterdir())
    assert all((folder / name).read_bytes() == (tmp_path / "other" / name).read_bytes() for name in names)
