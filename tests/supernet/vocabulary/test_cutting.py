"""A model with fewer tokens computes what it computed: all families, heads and forms."""

import copy

import numpy as np
import pytest
import torch
import transformers
from secateur.errors import InputError
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.heads import head_of
from secateur.supernet.packed.packed import in_form, slab_linears
from secateur.supernet.shipping.onnx import export_onnx
from secateur.supernet.shipping.session import OnnxModel
from secateur.supernet.stored.storage import load_model, load_tokenizer, save_model
from secateur.supernet.vocabulary.cutting import cut_embeddings, cut_tokenizer
from secateur.supernet.vocabulary.keeping import KeptTokens, kept_tokens
from secateur.tasks.batches import Batch
from secateur.tests.supernet.test_packed import thinned
from secateur.tests.tiny import tiny_model

from .spellers import config_for, counted, sentences, speller

TEXTS = sentences(12, seed=2)
# Others are read by BERT's; RoBERTa's has an MPNet's padding, 1.
OWN = {"roberta": "roberta", "xlm-roberta": "xlm-roberta", "camembert": "camembert", "mpnet": "roberta"}


def parts(model):
    """Return a tokenizer for a model's family, and a model of that kind that has a row for each of its tokens."""
    family = model.config.model_type
    name = OWN.get(family, "bert")
    head = head_of(model)
    layout = "electra with projection" if family == "electra" and model.config.embedding_size == 8 else family
    rows = max(speller(name).get_vocab().values()) + 1
    pad = speller(name).pad_token_id
    return speller(name), tiny_model(layout, head, vocab_size=rows, pad_token_id=pad, max_position_embeddings=66)


def both(model, tokenizer, made, cut):
    """Return the outputs of a model and of the one with fewer tokens, each on its own tokens of the same texts."""
    found = []
    for one, reader in ((model, tokenizer), (made, cut)):
        encoded = reader(TEXTS, padding=True, return_tensors="pt")
        if getattr(model.config, "type_vocab_size", 0) < 2:
            encoded.pop("token_type_ids", None)
        with torch.inference_mode():
            found.append(one(**encoded))
    return found


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_every_model_computes_what_it_computed(headed, tmp_path):
    tokenizer, whole = parts(headed)
    shape = Supernet(whole).shape
    half = SubnetMask.from_counts(shape, [2, 0, 4], [24, 7, 0], 13)
    for model in (whole, extract(whole, half)):
        before = copy.deepcopy(model.state_dict())
        kept = kept_tokens(tokenizer, model.config, counted(tokenizer, TEXTS))
        cut, made = cut_tokenizer(tokenizer, kept), cut_embeddings(model, kept)
        assert len(kept.ids) < kept.before
        assert made.config.vocab_size == len(kept.ids) == made.get_input_embeddings().weight.shape[0]
        width = model.get_input_embeddings().weight.shape[1]
        sizes = [sum(p.numel() for p in one.parameters()) for one in (model, made)]
        assert sizes[0] - sizes[1] == (kept.before - len(kept.ids)) * width
        expected, found = both(model, tokenizer, made, cut)
        assert same(expected, found)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        save_model(made, cut, tmp_path / "cut")
        again, read = load_model(tmp_path / "cut"), load_tokenizer(tmp_path / "cut")
        assert again.config.vocab_size == len(kept.ids)
        _, found = both(model, tokenizer, again, read)
        assert all(torch.allclose(expected[name], found[name], rtol=0, atol=1e-6) for name in expected)
        for name in ("pad_token_id", "bos_token_id", "eos_token_id"):
            if (old := getattr(model.config, name, None)) is not None:
                assert getattr(again.config, name) == kept.numbers[old]


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "camembert"])
def test_positions_that_count_from_the_padding_stay(family):
    tokenizer, config = speller(family), config_for(family)
    kept = kept_tokens(tokenizer, config, counted(tokenizer, TEXTS))
    assert kept.numbers[config.pad_token_id] == config.pad_token_id
    config = copy.deepcopy(config)
    config.pad_token_id = 30  # as a model that was made so has it: all rows before stay
    kept = kept_tokens(tokenizer, config, counted(tokenizer, TEXTS))
    assert kept.ids[:31].tolist() == list(range(31))


def test_a_padding_that_would_move_is_refused():
    model = tiny_model("roberta", vocab_size=20, pad_token_id=5)
    kept = KeptTokens(np.array([0, 1, 2, 5, 9]), 20, np.array([0]))
    with pytest.raises(InputError, match="counts positions from the padding token's id, 5, which would be another one"):
        cut_embeddings(model, kept)
    made = cut_embeddings(tiny_model("bert", vocab_size=20, pad_token_id=5), kept)
    assert (made.config.pad_token_id, made.get_input_embeddings().padding_idx) == (3, 3)


def test_a_row_for_each_token_at_the_other_end_is_cut_too():
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    ids = np.array([0, 2, 3, 7, 19])
    for tied in (True, False):
        config = transformers.BertConfig(vocab_size=20, tie_word_embeddings=tied, **sizes)
        model = transformers.BertForMaskedLM(config).eval()
        with torch.no_grad():
            model.get_output_embeddings().bias.normal_()
        made = cut_embeddings(model, KeptTokens(ids, 20, np.array([0])))
        assert (made.get_output_embeddings().weight is made.get_input_embeddings().weight) == tied
        with torch.inference_mode():
            expected = model(torch.tensor([[2, 19, 7]])).logits[..., ids]
            found = made(torch.tensor([[1, 4, 3]])).logits
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("form", ["packed", "bsr"])
def test_packed_matrices_stay_packed(form, tmp_path):
    tokenizer = speller("bert")
    ordinary = tiny_model("bert", vocab_size=len(tokenizer), max_position_embeddings=66)
    model = in_form(thinned(ordinary, "row")[0], form)
    kept = kept_tokens(tokenizer, model.config, counted(tokenizer, TEXTS))
    made, cut = cut_embeddings(model, kept), cut_tokenizer(tokenizer, kept)
    save_model(made, cut, tmp_path / "cut")
    expected, found = both(model, tokenizer, load_model(tmp_path / "cut"), load_tokenizer(tmp_path / "cut"))
    torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
    assert slab_linears(made).keys() == slab_linears(model).keys()


def test_onnx_files_of_it_compute_the_same(tmp_path):
    pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    tokenizer, model = speller("roberta"), tiny_model("roberta", vocab_size=800, max_position_embeddings=66)
    kept = kept_tokens(tokenizer, model.config, counted(tokenizer, TEXTS))
    made, cut = cut_embeddings(model, kept), cut_tokenizer(tokenizer, kept)
    export_onnx(made, tmp_path / "model.onnx")
    encoded = cut(TEXTS, padding=True, return_tensors="pt")
    mask = encoded["attention_mask"].bool()
    batch = Batch(encoded["input_ids"], None, mask, torch.zeros(len(TEXTS)), np.arange(len(TEXTS)))
    expected, _ = both(model, tokenizer, made, cut)
    np.testing.assert_allclose(OnnxModel(tmp_path / "model.onnx").outputs(batch), expected.logits.numpy(), atol=1e-4)
