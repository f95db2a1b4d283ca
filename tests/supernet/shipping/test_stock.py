"""Which models transformers has without us, and that they are the same ones."""

import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.packed.packed import in_form, mark_slabs, slab_linears
from secateur.supernet.packed.slabs import Slabs
from secateur.supernet.shipping.checkpoint import write_checkpoint
from secateur.supernet.shipping.stock import not_stock, stock_model
from secateur.supernet.stored.storage import load_model
from secateur.tests.supernet.cards import FACTS
from secateur.tests.tiny import padded_batch, tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


def counts(heads, neurons, hidden=16) -> SubnetMask:
    return SubnetMask.from_counts(SHAPE, heads, neurons, hidden)


ALIKE = {
    "all kept": counts([4, 4, 4], [24, 24, 24]),
    "fewer neurons": counts([4, 4, 4], [7, 7, 7]),
    "a layer less": counts([4, 0, 4], [24, 0, 24]),
    "a layer less, fewer neurons": counts([0, 4, 4], [0, 3, 3]),
    "no layers": counts([0, 0, 0], [0, 0, 0]),
}
UNLIKE = {
    "a layer that is dropped by half": counts([4, 0, 4], [24, 24, 24]),
    "layers of different numbers of heads": counts([4, 3, 4], [24, 24, 24]),
    "layers of different numbers of neurons": counts([4, 4, 4], [24, 23, 24]),
    "heads of width 4 that do not make up the 16 of its residual stream": counts([2, 2, 2], [24, 24, 24]),
    "heads of width 4 that do not make up the 13 of its residual stream": counts([4, 4, 4], [24, 24, 24], 13),
}


@torch.no_grad()
def same(one, other, batch) -> bool:
    left, right = one(**batch), other(**batch)
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("mask", ALIKE.values(), ids=ALIKE.keys())
def test_layers_that_are_alike_are_stock(headed, mask):
    model = extract(headed, mask)
    if reason := not_stock(model):
        family, first = headed.config.model_type, not mask.heads[0].any()
        assert reason == {
            ("modernbert", "no layers"): "no layers",
            ("deberta-v2", "no layers"): "no layers",
            ("modernbert", "a layer less"): "a LayerNorm before its first layer, which was not the first one",
        }.get((family, "a layer less" if first and mask.depth else "no layers"))
        return
    made = stock_model(model)
    assert type(made) is type(headed)
    assert made.config.model_type == headed.config.model_type
    assert same(made, model, padded_batch(headed))
    assert made.config.num_labels == headed.config.num_labels
    assert not made.training


@pytest.mark.parametrize(("reason", "mask"), UNLIKE.items(), ids=UNLIKE.keys())
def test_others_are_not(model, mask, reason):
    extracted = extract(model, mask)
    assert not_stock(extracted) == reason
    with pytest.raises(InputError, match=rf"^a stock \w+ cannot have {reason}; choose the form `portable`, or `auto`$"):
        stock_model(extracted)


def test_half_the_heads_in_half_the_width_are_stock_where_no_classifier_is_wider(headed):
    """Token heads read the residual stream as it is; a classifier of texts keeps the full width between."""
    model = extract(headed, counts([2, 2, 2], [9, 9, 9], 8))
    if getattr(model, "wide", None) is not None:
        assert not_stock(model) == "a classifier of width 16 on a residual stream of 8"
    elif headed.config.model_type == "mpnet":
        assert not_stock(model) == "layers that keep some of the heads of the table of biases that they share"
    elif getattr(model.config, "project_embeddings", False):
        assert not_stock(model) == "a projection of embeddings to their own width"
    else:
        assert same(stock_model(model), model, padded_batch(headed))


def test_a_stock_checkpoint_is_a_model_that_can_be_searched_again(tiny_models, tiny_tokenizer, tmp_path):
    model = extract(tiny_models["bert"], ALIKE["a layer less, fewer neurons"])
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    assert write_checkpoint(model, tiny_tokenizer, tmp_path / "model", FACTS) == "stock"
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    loaded = load_model(tmp_path / "model")
    batch = padded_batch(model)
    assert Supernet(loaded).shape == EncoderShape(2, 4, 4, 16, 3)
    assert same(loaded, model, batch)
    assert "trust_remote_code" not in (tmp_path / "model" / "README.md").read_text()


def test_a_form_that_cannot_be_is_refused_before_anything_is_written(tiny_models, tiny_tokenizer, tmp_path):
    uneven = extract(tiny_models["bert"], UNLIKE["layers of different numbers of heads"])
    for model, form, message in (
        (uneven, "stock", "a stock Bert cannot have layers of different numbers of heads"),
        (tiny_models["bert"], "portable", "BertForSequenceClassification is a stock model and needs no code; choose"),
        (uneven, "zip", "unknown form 'zip'; known: auto, portable, secateur, stock"),
    ):
        with pytest.raises(InputError, match=message):
            write_checkpoint(model, tiny_tokenizer, tmp_path / "model", FACTS, form=form)
    assert not list(tmp_path.iterdir())


def thinned(form: str):
    """Return a BERT with a matrix half of whose groups are zero."""
    model = tiny_model("bert")
    weight = model.bert.encoder.layer[0].intermediate.dense.weight
    with torch.no_grad():
        weight[::2, :8] = 0
    mark_slabs(model, {"bert.encoder.layer.0.intermediate.dense": Slabs("row", (8, 8))})
    return in_form(model, form)


@pytest.mark.parametrize("form", ["dense", "packed"])
def test_packed_matrices_are_written_out(form, tiny_tokenizer, tmp_path):
    model = thinned(form)
    assert write_checkpoint(model, tiny_tokenizer, tmp_path / "packed", FACTS) == "packed"
    assert write_checkpoint(model, tiny_tokenizer, tmp_path / "stock", FACTS, form="stock") == "stock"
    assert slab_linears(load_model(tmp_path / "packed"))
    plain = type(model).from_pretrained(tmp_path / "stock")
    assert not slab_linears(plain)
    batch = padded_batch(model)
    with torch.no_grad():
        torch.testing.assert_close(plain(**batch).logits, model(**batch).logits)
    with pytest.raises(InputError, match="packed matrices are read by Secateur alone; choose the form `secateur`, or"):
        write_checkpoint(model, tiny_tokenizer, tmp_path / "packed", FACTS, form="portable")
