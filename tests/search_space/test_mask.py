"""Masks: content, counts, parameters, JSON."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from secateur.search_space import EncoderShape, SubnetMask, TokenSet

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=5, hidden_size=20, intermediate_size=24)
quick = settings(deadline=None, derandomize=True, database=None, max_examples=40)


@st.composite
def masks(draw) -> SubnetMask:
    layers = draw(st.integers(1, 4))
    heads = draw(npst.arrays(bool, (layers, draw(st.integers(1, 17)))))
    neurons = draw(npst.arrays(bool, (layers, draw(st.integers(1, 33)))))
    hidden = draw(npst.arrays(bool, draw(st.integers(1, 20))).filter(np.any))
    return SubnetMask(heads, neurons, hidden)


@quick
@given(masks())
def test_json_round_trip(mask):
    again = SubnetMask.from_json(json.loads(json.dumps(mask.to_json())))
    assert np.array_equal(again.heads, mask.heads)
    assert np.array_equal(again.neurons, mask.neurons)
    assert np.array_equal(again.hidden, mask.hidden)
    assert again == mask
    assert hash(again) == hash(mask)


@quick
@given(masks(), st.data())
def test_key_is_of_the_content(mask, data):
    assert SubnetMask(mask.heads.copy(), mask.neurons.tolist(), mask.hidden.copy()).key == mask.key
    heads = mask.heads.copy()
    i = data.draw(st.integers(0, heads.size - 1))
    heads.flat[i] = not heads.flat[i]
    changed = SubnetMask(heads, mask.neurons, mask.hidden)
    assert changed.key != mask.key
    assert changed != mask
    assert int(mask.key, 16) >= 0
    assert len(mask.key) == 16


def test_key_tells_shapes_with_equal_bits_apart():
    """Bits are packed into bytes: a bit that is not there must not pass for one that is zero."""
    few = SubnetMask([[True]], [[True, False]], [True])
    many = SubnetMask([[True]], [[True, False, False]], [True])
    assert few.key != many.key


@quick
@given(masks())
def test_counts(mask):
    assert mask.heads_per_layer == tuple(list(row).count(True) for row in mask.heads)
    assert mask.neurons_per_layer == tuple(list(row).count(True) for row in mask.neurons)
    assert mask.hidden_size == list(mask.hidden).count(True)
    assert mask.num_layers == len(mask.heads)
    used = [i for i in range(mask.num_layers) if any(mask.heads[i]) or any(mask.neurons[i])]
    assert mask.depth == (max(used) + 1 if used else 0)


@quick
@given(masks(), st.integers(0, 5))
def test_truncated(mask, depth):
    cut = mask.truncated(depth)
    assert np.array_equal(cut.heads[:depth], mask.heads[:depth])
    assert np.array_equal(cut.neurons[:depth], mask.neurons[:depth])
    assert not cut.heads[depth:].any()
    assert not cut.neurons[depth:].any()
    assert np.array_equal(cut.hidden, mask.hidden)
    assert cut.depth == min(depth, mask.depth) or cut.depth < depth
    assert cut.truncated(depth) == cut
    assert mask.truncated(mask.depth) == mask


def test_a_dropped_layer_inside_counts_for_the_depth():
    mask = SubnetMask.from_counts(SHAPE, [4, 0, 0], [0, 0, 1])
    assert mask.depth == 3
    assert mask.truncated(2).depth == 1
    assert SubnetMask.from_counts(SHAPE, [0] * 3, [0] * 3).depth == 0


def test_masks_cannot_be_changed():
    source = np.ones((3, 4), bool)
    mask = SubnetMask(source, np.ones((3, 24), bool), np.ones(20, bool))
    source[:] = False
    assert mask.heads.all()
    with pytest.raises(ValueError, match="read-only"):
        mask.heads[0, 0] = False


@quick
@given(st.lists(st.integers(0, 4), min_size=3, max_size=3), st.lists(st.integers(0, 24), min_size=3, max_size=3))
def test_counts_keep_prefixes(heads, neurons):
    mask = SubnetMask.from_counts(SHAPE, heads, neurons, 7)
    for layer in range(3):
        assert mask.heads[layer].tolist() == [True] * heads[layer] + [False] * (4 - heads[layer])
        assert mask.neurons[layer].tolist() == [True] * neurons[layer] + [False] * (24 - neurons[layer])
    assert mask.hidden.tolist() == [True] * 7 + [False] * 13


def test_full_is_the_hugging_face_encoder():
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=10, hidden_size=20, num_hidden_layers=3, num_attention_heads=4, intermediate_size=24)
    count = sum(p.numel() for p in BertModel(config).encoder.parameters())
    assert SubnetMask.full(SHAPE).encoder_parameters(SHAPE) == SHAPE.encoder_parameters == count


def test_bert_base_has_the_published_size():
    # 108,311,810 parameters less embeddings 22,665,216, pooler 590,592 and a classifier of 2 * 768 + 2
    assert EncoderShape(12, 12, 64, 768, 3072).encoder_parameters == 108_311_810 - 22_665_216 - 590_592 - 1_538


@quick
@given(masks(), st.integers(1, 6))
def test_parameters_are_those_of_real_layers(mask, head_size):
    from torch import nn

    shape = EncoderShape(mask.num_layers, mask.heads.shape[1], head_size, len(mask.hidden), mask.neurons.shape[1])
    d, parts = mask.hidden_size, nn.ModuleList()
    for heads, neurons in zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True):
        if heads:
            width = heads * head_size
            parts.extend([nn.Linear(d, width, device="meta") for _ in range(3)])
            parts.extend([nn.Linear(width, d, device="meta"), nn.LayerNorm(d, device="meta")])
        if neurons:
            parts.extend([nn.Linear(d, neurons, device="meta"), nn.Linear(neurons, d, device="meta")])
            parts.append(nn.LayerNorm(d, device="meta"))
    assert mask.encoder_parameters(shape) == sum(p.numel() for p in parts.parameters())


def test_repr_shows_counts():
    assert repr(SubnetMask.from_counts(SHAPE, [4, 0, 1], [24, 3, 0], 7)) == (
        "SubnetMask(heads=[4, 0, 1], neurons=[24, 3, 0], hidden=7)"
    )
    assert SubnetMask.full(SHAPE) != "a mask"


ONES = np.ones


@pytest.mark.parametrize(
    ("heads", "neurons", "hidden", "message"),
    [
        (ONES(4), ONES((3, 24)), ONES(20), r"needs heads \(L, H\), neurons \(L, F\) and hidden \(D,\), got \(4,\)"),
        (ONES((3, 4)), ONES((2, 24)), ONES(20), "heads has 3 layers but neurons has 2"),
        (ONES((3, 4)), ONES((3, 24)), np.zeros(20), "hidden keeps no dimension"),
    ],
)
def test_shapes_that_do_not_fit(heads, neurons, hidden, message):
    with pytest.raises(ValueError, match=message):
        SubnetMask(heads, neurons, hidden)


@pytest.mark.parametrize(
    ("heads", "neurons", "hidden", "message"),
    [
        (
            [4, 4, 5],
            [1, 1, 1],
            None,
            "heads keeps 5 heads of layer 2, but this encoder has 4 per layer; build",
        ),
        ([4, 4, 4], [1, -1, 1], None, "neurons keeps -1 neurons of layer 1, but this encoder has 24 per layer"),
        ([4, 4], [1, 1, 1], None, r"heads needs 3 counts, one per layer, got shape \(2,\)"),
        ([4, 4, 4], [1, 1, 1], 21, "hidden keeps 21 dimensions, but this encoder has 20"),
        ([4, 4, 4], [1, 1, 1], 0, "hidden keeps 0 dimensions, but this encoder has 20"),
    ],
)
def test_counts_that_the_encoder_lacks(heads, neurons, hidden, message):
    with pytest.raises(ValueError, match=message):
        SubnetMask.from_counts(SHAPE, heads, neurons, hidden)


def test_an_encoder_has_sizes():
    with pytest.raises(ValueError, match="head_size of an encoder must be at least 1, got 0"):
        EncoderShape(3, 4, 0, 20, 24)


def test_tokens_are_part_of_what_a_mask_is():
    mask = SubnetMask.from_counts(SHAPE, [4, 2, 0], [24, 6, 1], 10)
    fewer, others = mask.with_tokens(TokenSet(8, "a1")), mask.with_tokens(TokenSet(8, "b2"))
    assert mask.tokens is None
    assert len({mask.key, fewer.key, others.key}) == 3
    assert fewer.with_tokens(None) == mask
    assert fewer.truncated(1).tokens == TokenSet(8, "a1")
    assert fewer.truncated(1).with_tokens(None) == mask.truncated(1)
    assert fewer.encoder_parameters(SHAPE) == mask.encoder_parameters(SHAPE)
    assert SubnetMask.from_json(json.loads(json.dumps(fewer.to_json()))) == fewer
    assert "tokens" not in mask.to_json()
    assert SubnetMask.full(SHAPE).is_full
    assert not SubnetMask.full(SHAPE).with_tokens(TokenSet(8, "a1")).is_full


def test_keys_of_archives_from_before_there_were_tokens():
    """The key that the version before gave this mask."""
    assert SubnetMask.from_counts(EncoderShape(3, 4, 4, 20, 24), [4, 2, 0], [24, 6, 1], 10).key == "786dc5650b46b3ae"


@pytest.mark.parametrize("tokens", [[0, "a1"], [2.5, "a1"], [8, ""], [8]])
def test_tokens_of_a_damaged_description_are_refused(tokens):
    described = SubnetMask.full(SHAPE).to_json() | {"tokens": tokens}
    with pytest.raises((ValueError, TypeError)):
        SubnetMask.from_json(described)
