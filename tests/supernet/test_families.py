"""What configurations of each family may ask for."""

import pytest
import torch
from secateur.supernet.families import FAMILIES, family_of
from secateur.supernet.families.positions import bucket, embedded_distance
from secateur.tests.supernet.refusals import message_of
from secateur.tests.tiny import tiny_model
from transformers.models.deberta_v2.modeling_deberta_v2 import build_relative_position
from transformers.models.mpnet.modeling_mpnet import MPNetEncoder

REFUSED = [
    ("mpnet", {"pad_token_id": 0}, "pad_token_id is 0, but the positions of an MPNet count from 1"),
    (
        "mpnet",
        {"relative_attention_num_buckets": 16},
        "relative_attention_num_buckets is 16, but an MPNet has a table of 32",
    ),
    ("deberta-v2", {"conv_kernel_size": 3}, "a convolution behind the first layer"),
    ("deberta-v2", {"embedding_size": 8}, "embedding_size is 8, but only embeddings of the encoder's own width, 16"),
    ("deberta-v2", {"share_att_key": False}, "no relative_attention with share_att_key"),
    ("deberta-v2", {"pooler_hidden_act": "prelu"}, "pooler_hidden_act is 'prelu', which is not supported"),
    ("modernbert", {"hidden_activation": "prelu"}, "hidden_activation is 'prelu', which is not supported"),
    ("modernbert", {"classifier_activation": "prelu"}, "classifier_activation is 'prelu', which is not supported"),
    (
        "nomic_bert",
        {"rope_parameters": {"rope_type": "longrope", "rope_theta": 1000.0}},
        "of the kind 'longrope', which is not",
    ),
]


@pytest.mark.parametrize(
    ("name", "changes", "message"), REFUSED, ids=[f"{name} {next(iter(changes))}" for name, changes, _ in REFUSED]
)
def test_what_is_not_computed_is_refused(name, changes, message):
    config = tiny_model(name).config
    for key, value in changes.items():
        setattr(config, key, value)
    assert message in message_of(family_of, config)


def test_other_families_are_refused():
    config = tiny_model("bert").config
    for kind, reason in (("albert", "shares one set of weights"), ("deberta", "version 1 of DeBERTa"), ("t5", "")):
        config.model_type = kind
        found = message_of(family_of, config)
        assert f"models of the family '{kind}' are not supported" in found
        assert reason in found
        assert all(name in found for name in FAMILIES)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("linear", {"factor": 4.0}), ("dynamic", {"factor": 2.0}), ("yarn", {"factor": 4.0}), ("default", {})],
)
def test_rotary_frequencies_are_those_of_transformers(kind, settings):
    rope = {"rope_type": kind, "rope_theta": 1000.0, **settings}
    model = tiny_model("nomic_bert", rope_parameters=rope)
    (found, *others) = family_of(model.config).attention(model.config)
    rotary = model.nomic_bert.rotary_emb
    assert found.rotary is not None
    torch.testing.assert_close(torch.tensor(found.rotary.frequencies), rotary.inv_freq, atol=0, rtol=1e-6)
    assert found.rotary.scaling == pytest.approx(rotary.attention_scaling)
    assert all(other == found for other in others)


def test_distances_are_those_of_transformers():
    """MPNet's rows of biases, and DeBERTa's ranges of distances, wherever rounding puts their ends."""
    places = torch.arange(600)
    apart = places[None, :] - places[:, None]
    assert torch.equal(bucket(apart), MPNetEncoder.relative_position_bucket(apart))
    for buckets in (4, 32, 256):
        model = tiny_model("deberta-v2", position_buckets=buckets, max_position_embeddings=512)
        known = family_of(model.config).attention(model.config)[0].disentangled
        states = torch.zeros(1, 600, 1)
        ranges = build_relative_position(states, states, bucket_size=buckets, max_position=512)[0]
        expected = (ranges + buckets).clamp(0, 2 * buckets - 1)
        assert known is not None
        assert torch.equal(embedded_distance(known, 600, torch.device("cpu")), expected)
