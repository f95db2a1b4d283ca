import copy

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract, put_back
from secateur.supernet.families import FAMILIES, family_of
from secateur.supernet.modeling_secateur import layer_sizes
from secateur.supernet.stored.extracted import model_class
from secateur.tests.tiny import tiny_model
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForSequenceClassification,
    BertModel,
)

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
# Layer 0 keeps 3 heads, layer 1 is gone, layer 2 keeps neurons only.
MASK = SubnetMask.from_counts(SHAPE, [3, 0, 0], [24, 0, 5], 13)


def test_architecture_is_stored_in_the_format_of_transformers(tiny_models):
    stored = extract(tiny_models["bert"], MASK).config.to_dict()
    assert stored["per_layer_config"] == {
        "0": {"num_attention_heads": 3},
        "1": {"skip": ["attention"], "intermediate_size": 5},
    }
    assert (stored["num_hidden_layers"], stored["hidden_size"], stored["model_type"]) == (2, 13, "secateur-bert")
    assert (stored["num_attention_heads"], stored["intermediate_size"]) == (4, 24)
    assert (stored["head_dim"], stored["classifier_size"], stored["secateur_key"]) == (4, 16, MASK.key)


def test_fields_have_the_names_of_the_family(tiny_models):
    stored = extract(tiny_models["distilbert"], MASK).config.to_dict()
    assert stored["per_layer_config"] == {"0": {"n_heads": 3}, "1": {"skip": ["attention"], "hidden_dim": 5}}
    assert (stored["n_layers"], stored["dim"]) == (2, 13)


def test_sizes_are_read_back(model):
    sizes = layer_sizes(extract(model, MASK).config)
    assert [(layer.heads, layer.neurons) for layer in sizes] == [(3, 24), (0, 5)]


def test_a_dropped_block_leaves_nothing_behind(model):
    family = family_of(model.config)
    names = set(extract(model, MASK).state_dict())
    attention, ffn = ("qkv", "attention_output", "attention_norm"), ("ffn_in", "ffn_out", "ffn_norm")
    kept = {(layer, part): {f"{path}.weight" in names for path in family.layer_paths(layer, part)}
            for layer in (0, 1, 2) for part in (*attention, *ffn)}  # fmt: skip
    there = attention if family.first_norm else attention[:-1]
    assert all(kept[0, part] == {True} for part in (*there, *ffn))
    assert all(kept[1, part] == {False} for part in attention)
    assert all(kept[1, part] == {True} for part in ffn)
    assert all(kept[2, part] == {False} for part in (*attention, *ffn))
    assert all(tensor.numel() for tensor in extract(model, MASK).state_dict().values())


def test_electra_projects_exactly_where_its_parent_did(tiny_models):
    half = SubnetMask.from_counts(SHAPE, [1, 1, 1], [1, 1, 1], 8)
    with_projection = extract(tiny_models["electra with projection"], half)  # now as wide as its embeddings
    assert with_projection.electra.embeddings_project.weight.shape == (8, 8)
    assert with_projection.config.embedding_size == 8
    without = extract(tiny_models["electra"], MASK)
    assert not hasattr(without.electra, "embeddings_project")
    assert without.config.embedding_size == 13


def test_the_copy_is_independent(model, batch):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extracted = extract(model, SubnetMask.full(SHAPE))
    owned = {p.untyped_storage().data_ptr() for p in model.parameters()}
    owned |= {b.untyped_storage().data_ptr() for b in model.buffers()}
    tensors = [*extracted.parameters(), *extracted.buffers()]
    assert not owned & {tensor.untyped_storage().data_ptr() for tensor in tensors}
    assert all(tensor.is_contiguous() for tensor in extracted.parameters())
    with torch.no_grad():
        for parameter in extracted.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert not extracted.training


def test_labels_and_the_like_are_carried_over():
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=24,
        id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
        problem_type="single_label_classification",
        pad_token_id=3,
        classifier_dropout=0.3,
        layer_norm_eps=1e-5,
    )
    extracted = extract(BertForSequenceClassification(config).eval(), MASK)
    for name in ("id2label", "label2id", "problem_type", "pad_token_id", "classifier_dropout", "layer_norm_eps"):
        assert getattr(extracted.config, name) == getattr(config, name)
    assert extracted.dropout.p == 0.3
    assert extracted.bert.embeddings.word_embeddings.padding_idx == 3


def test_precision_is_kept(tmp_path):
    extracted = extract(tiny_model("bert").to(torch.bfloat16), MASK)
    assert {p.dtype for p in extracted.parameters()} == {torch.bfloat16}
    extracted.save_pretrained(tmp_path)
    cls = type(extracted)
    assert cls.from_pretrained(tmp_path).dtype == torch.bfloat16
    assert cls.from_pretrained(tmp_path, dtype=torch.float32).dtype == torch.float32


def test_attention_implementation_is_kept(tiny_models):
    parent = tiny_model("bert")
    parent.set_attn_implementation("eager")
    assert extract(parent, MASK).config._attn_implementation == "eager"
    assert extract(tiny_models["bert"], MASK).config._attn_implementation == "sdpa"


def test_hidden_states_and_attentions(model, batch):
    extracted = extract(model, MASK)
    extracted.set_attn_implementation("eager")
    with torch.no_grad():
        output = extracted(**batch, output_hidden_states=True, output_attentions=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(3, 7, 13)] * 3
    there = [weights for weights in output.attentions if weights is not None]  # some families say that one is not
    assert [tuple(weights.shape) for weights in there] == [(3, 3, 7, 7)]


def test_a_model_from_a_configuration_alone_is_initialised(model):
    config = extract(model, MASK).config
    family = family_of(model.config)
    fresh = model_class(family, "sequence-classification")(config)
    dense = family.heads["sequence-classification"].dense
    for path in (family.layer_paths(0, "qkv")[0], family.layer_path(1, "ffn_out"), dense):
        linear = fresh.get_submodule(path)
        assert linear.weight.std().item() == pytest.approx(config.initializer_range, rel=0.35)
        assert linear.bias is None or not linear.bias.any()
    assert all(torch.isfinite(p).all() for p in fresh.parameters())


def test_a_mask_of_another_encoder_is_refused(tiny_models):
    other = EncoderShape(2, 4, 4, 16, 24)
    with pytest.raises(ValueError, match=r"needs a mask with heads \(3, 4\).*build the mask from supernet.shape"):
        extract(tiny_models["bert"], SubnetMask.full(other))


def test_other_families_are_refused(tiny_models):
    extracted = extract(tiny_models["bert"], MASK)
    with pytest.raises(InputError, match="'secateur-bert' are not supported"):
        extract(extracted, MASK)


def test_embeddings_without_a_fitting_width_are_refused(tiny_models):
    config = extract(tiny_models["electra with projection"], MASK).config
    config.project_embeddings = False
    with pytest.raises(ValueError, match="embeddings of width 8 do not fit a residual stream of 13"):
        model_class(FAMILIES["electra"], "sequence-classification")(config)


def test_scattered_heads_are_the_right_ones(tiny_models):
    parent = tiny_models["bert"]
    heads = np.array([[False, True, False, True]] * 3)
    mask = SubnetMask(heads, np.ones((3, 24)), np.ones(16))
    rows = [4, 5, 6, 7, 12, 13, 14, 15]
    own, theirs = (m.bert.encoder.layer[1].attention for m in (extract(parent, mask), parent))
    assert torch.equal(own.self.key.weight, theirs.self.key.weight[rows])
    assert torch.equal(own.output.dense.weight, theirs.output.dense.weight[:, rows])
    assert (own.self.num_attention_heads, own.self.all_head_size, own.self.attention_head_size) == (2, 8, 4)


def test_a_model_without_a_head_is_refused(tiny_models):
    expected = (
        "has no head for sequence-classification, question-answering, token-classification, embedding; give a model"
    )
    for other in (BertModel, BertForMaskedLM, BertForMultipleChoice):
        with pytest.raises(InputError, match=f"{other.__name__} {expected}"):
            extract(other(tiny_models["bert"].config), MASK)


@pytest.mark.parametrize("hidden", [16, 13])
def test_what_was_changed_is_put_back_where_it_was_cut_from(headed, hidden):
    rng = np.random.default_rng(0)
    heads, neurons = rng.random((3, 4)) < 0.6, rng.random((3, 24)) < 0.6
    heads[1] = False  # a block that is dropped
    mask = SubnetMask(heads, neurons, np.arange(16) < hidden)
    holder, changed = Supernet(copy.deepcopy(headed)), extract(headed, mask)
    with torch.no_grad():
        for parameter in changed.parameters():
            parameter += torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    put_back(changed, mask, holder)
    again = extract(holder.model, mask).state_dict()
    assert all(torch.equal(again[name], value) for name, value in changed.state_dict().items())
    # Nothing else was touched: what the mask leaves out is as it was.
    before, after = Supernet(headed).parameters, holder.parameters
    out = holder.family.layer_path(0, "ffn_out") + ".weight"
    columns = torch.from_numpy(~neurons[0])
    assert torch.equal(after[out][:, columns], before[out][:, columns])
    dropped = holder.family.layer_paths(1, "qkv")[0] + ".weight"
    assert torch.equal(after[dropped], before[dropped])
