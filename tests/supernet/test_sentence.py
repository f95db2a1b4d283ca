"""Models for embedding of all families: their vectors are those of sentence-transformers, wherever they are kept."""

import copy
import json
import shutil

import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.families.family import POOLINGS
from secateur.supernet.sentence import embedder
from secateur.supernet.sentence_head import SentenceHead
from secateur.supernet.shipping.onnx import OnnxModel, export_onnx
from secateur.supernet.shipping.stock import stock_model
from secateur.supernet.stored.storage import load_model, save_model
from secateur.tests.conftest import ALL_NAMES
from secateur.tests.tiny import padded_batch, tiny_model
from sentence_transformers import SentenceTransformer
from transformers import AutoModel

TEXTS = ["a good film", "not very", "truly bad ! a film"]
SHAPE = Supernet(tiny_model("bert", "embedding")).shape
UNEVEN = SubnetMask.from_counts(SHAPE, [3, 0, 2], [5, 24, 0], 12)


def told(model, **changes):
    """The same model with another head."""
    head = SentenceHead(**{**vars(SentenceHead.of(model.config)), **changes})
    made = copy.deepcopy(model)
    return embedder(made.encoder, head, dict(made.projection.named_parameters()))


@torch.no_grad()
def vectors(model, batch):
    return model(**batch)["sentence_embedding"]


@pytest.mark.parametrize("name", ALL_NAMES)
def test_slices_extracted_models_and_stored_ones_agree(name, tiny_tokenizer, tmp_path):
    model = tiny_model(name, "embedding")
    batch = padded_batch(model)
    for pooling in POOLINGS:
        one = told(model, pooling=pooling)
        extracted = extract(one, UNEVEN)
        expected = vectors(extracted, batch)
        assert expected.norm(dim=1) == pytest.approx(torch.ones(3))
        torch.testing.assert_close(Supernet(one).subnet(UNEVEN).outputs(**batch), expected, atol=1e-5, rtol=0)
    save_model(extracted, tiny_tokenizer, tmp_path / "model")
    torch.testing.assert_close(vectors(load_model(tmp_path / "model"), batch), expected, atol=1e-6, rtol=0)
    export_onnx(extracted, tmp_path / "model.onnx", states=True)  # which compares the vectors
    encoder = AutoModel.from_pretrained(tmp_path / "model").eval()
    with torch.no_grad():
        states = (one(**batch).last_hidden_state for one in (encoder, extracted.encoder))
        torch.testing.assert_close(*states, atol=1e-6, rtol=0)
    exported = OnnxModel(tmp_path / "model.onnx")
    given = exported.run({name: batch[name].long().numpy() for name in exported.inputs})
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        states = extracted.encoder(**batch).last_hidden_state
    torch.testing.assert_close(given["last_hidden_state"][real], states[real], atol=1e-4, rtol=0)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("form", ["extracted", "stock"])
def test_sentence_transformers_makes_the_same_vectors(pooling, form, tiny_tokenizer, tmp_path):
    model = told(tiny_model("bert", "embedding"), pooling=pooling)
    cut = extract(model, UNEVEN if form == "extracted" else SubnetMask.from_counts(SHAPE, [4, 4, 0], [9, 9, 0]))
    cut = cut if form == "extracted" else stock_model(cut)
    prompts = {"prompts": {"query": "not "}, "default_prompt_name": None}
    files = {"config_sentence_transformers.json": prompts, "sentence_bert_config.json": {"max_seq_length": 20}}
    cut = told(cut, files=files)
    save_model(cut, tiny_tokenizer, tmp_path / "model")
    expected = vectors(cut, tiny_tokenizer(TEXTS, padding=True, return_tensors="pt"))
    loaded = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    torch.testing.assert_close(torch.from_numpy(loaded.encode(TEXTS)), expected, atol=1e-5, rtol=0)
    assert loaded.prompts["query"] == "not "
    assert loaded.max_seq_length == 20
    weights = {path.stat().st_mode for path in (tmp_path / "model").rglob("*.safetensors")}
    assert weights == {(tmp_path / "model" / "config.json").stat().st_mode}  # whoever serves it may read it all
    assert SentenceHead.of(load_model(tmp_path / "model").config).prompts["query"] == "not "


def test_what_sentence_transformers_writes_is_read(tiny_tokenizer, tmp_path):
    from sentence_transformers.models import Dense, Pooling, Transformer

    tiny_model("bert", "embedding").encoder.save_pretrained(tmp_path / "encoder")
    tiny_tokenizer.save_pretrained(tmp_path / "encoder")
    dense = Dense(16, 5, activation_function=torch.nn.Tanh())
    made = SentenceTransformer(
        modules=[Transformer(str(tmp_path / "encoder")), Pooling(16, "cls"), dense], device="cpu"
    )
    made.save(str(tmp_path / "model"))
    model = load_model(tmp_path / "model")
    expected = torch.from_numpy(made.encode(TEXTS))
    found = vectors(model, tiny_tokenizer(TEXTS, padding=True, return_tensors="pt"))
    assert found.shape == (3, 5)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_an_encoder_alone_gives_the_mean_of_its_tokens(tiny_tokenizer, tmp_path):
    encoder = tiny_model("bert", "embedding").encoder
    encoder.save_pretrained(tmp_path / "model")
    batch = padded_batch(encoder)
    found = vectors(load_model(tmp_path / "model", head="embedding"), batch)
    with torch.no_grad():
        states = encoder(**batch).last_hidden_state
    for row, count in enumerate((7, 4, 1)):
        torch.testing.assert_close(found[row], states[row, :count].mean(0))


def changed(folder, name, **values):
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_what_is_not_supported_is_said_in_a_line(tiny_tokenizer, tmp_path):
    save_model(tiny_model("bert", "embedding"), tiny_tokenizer, tmp_path / "model")

    def refused(change, match):
        folder = shutil.copytree(tmp_path / "model", tmp_path / "changed", dirs_exist_ok=True)
        change(folder)
        with pytest.raises(InputError, match=match):
            load_model(folder)
        shutil.rmtree(folder)

    refused(lambda at: (at / "modules.json").write_text("[{"), r"modules\.json of .* is damaged; get the model again")
    refused(lambda at: (at / "modules.json").write_text('[{"idx": 0}]'), "without a type or a path")
    other = json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.WordWeights", "path": "1"}])
    refused(lambda at: (at / "modules.json").write_text(other), "has the steps Transformer, WordWeights; supported are")
    refused(
        lambda at: changed(at, "1_Pooling/config.json", pooling_mode_mean_tokens=False, pooling_mode_max_tokens=True),
        "pools by max; supported are mean, cls, lasttoken",
    )
    refused(lambda at: changed(at, "1_Pooling/config.json", include_prompt=False), "include_prompt")
    refused(lambda at: changed(at, "2_Dense/config.json", activation_function="torch.nn.ELU"), "the activation ELU")
    refused(lambda at: changed(at, "2_Dense/config.json", out_features=7), r"a weight of \(3, 16\) where \(7, 16\)")
    refused(lambda at: (at / "2_Dense/model.safetensors").unlink(), "is not there; save the model with safetensors")


def test_a_model_with_a_head_makes_no_vectors(tiny_tokenizer, tmp_path):
    save_model(tiny_model("bert"), tiny_tokenizer, tmp_path / "model")
    with pytest.raises(InputError, match="has a head for sequence-classification, but vectors are made by a model"):
        load_model(tmp_path / "model", head="embedding")
