"""Nested checkpoints of models of all families: what is loaded is what was given, bit for bit."""

import copy
import json

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet.extraction import extract
from secateur.supernet.stored.nested import NESTED, NestedModel, read_nested, write_nested
from secateur.supernet.stored.steps import add_steps, named, steps_between
from secateur.tests.supernet.refusals import message_of
from secateur.tests.tiny import tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
MASKS = [
    SubnetMask.full(SHAPE),
    SubnetMask.from_counts(SHAPE, [3, 2, 1], [24, 7, 5]),
    SubnetMask.from_counts(SHAPE, [0, 2, 0], [0, 5, 0]),
]


def same(one, other) -> bool:
    """Whether two models have one configuration and the same weights, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    bits = [(first[name].view(torch.uint8), second[name].view(torch.uint8)) for name in first]
    return first.keys() == second.keys() and all(torch.equal(*pair) for pair in bits)


def told(mask, weights="supernet"):
    return NestedModel(mask, weights, {"error": 0.1, "encoder_parameters": float(mask.encoder_parameters(SHAPE))})


@torch.no_grad()
def trained(model):
    """Return a model whose every parameter is another one."""
    made = copy.deepcopy(model)
    for parameter in made.parameters():
        parameter.add_(0.1)
    return made


def test_slices_bring_no_files(headed, tiny_tokenizer, tmp_path):
    models = [extract(headed, mask) for mask in MASKS]
    nested, apart = write_nested(tmp_path / "family", headed, tiny_tokenizer, zip(map(told, MASKS), models), "here")
    assert not (tmp_path / "family" / "own").exists()
    assert apart == sum(tensor.nbytes for model in models for tensor in model.state_dict().values())
    for model, one in zip(models, nested.models, strict=True):
        loaded = nested.load(one)
        assert type(loaded) is type(model)
        assert not loaded.training
        assert same(loaded, model)
        assert loaded.config.secateur_key == one.key


def test_what_is_no_slice_is_there_once(tiny_models, tiny_tokenizer, tmp_path):
    whole = tiny_models["bert"]
    first = trained(extract(whole, MASKS[1]))
    first.config.thresholds = {"no": 0.25, "yes": 0.5}
    second = extract(whole, MASKS[2])
    table = "bert.embeddings.word_embeddings.weight"
    with torch.no_grad():
        second.get_parameter(table).copy_(first.get_parameter(table))
    given = list(zip([told(MASKS[1]), told(MASKS[2], "ladder")], [first, second], strict=True))
    nested, _ = write_nested(tmp_path / "family", whole, tiny_tokenizer, given, "here")
    assert [one.own_bytes > 0 for one in nested.models] == [True, False]
    assert len(list((tmp_path / "family" / "own").iterdir())) == 1
    loaded = [nested.load(one) for one in nested.models]
    assert same(loaded[0], first)
    assert same(loaded[1], second)
    assert loaded[0].config.thresholds == {"no": 0.25, "yes": 0.5}
    assert not hasattr(loaded[1].config, "thresholds")


def test_steps_may_be_from_another_model(tiny_tokenizer, tmp_path):
    """Rungs beside a supernet: their embeddings are not its own, but near one another."""
    whole = tiny_model("bert")
    first, second = trained(extract(whole, MASKS[1])), trained(extract(whole, MASKS[2]))
    table = "bert.embeddings.word_embeddings.weight"
    with torch.no_grad():
        second.get_parameter(table).mul_(1 - 1e-6)
    given = list(zip(map(told, MASKS[1:]), [first, second], strict=True))
    nested, _ = write_nested(tmp_path / "family", whole, tiny_tokenizer, given, "here")
    place = nested.models[1].tensors[table]
    assert place.steps
    assert place.reference == (f"own/{MASKS[1].key}-supernet.safetensors", table)
    assert same(nested.load(nested.models[1]), second)
    (tmp_path / "family" / place.reference[0]).unlink()
    assert "safetensors is gone" in message_of(lambda: nested.load(nested.models[1]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_other_precisions(dtype, tiny_tokenizer, tmp_path):
    whole = tiny_model("bert").to(dtype)
    models = [extract(whole, MASKS[1]), extract(whole, MASKS[1]).float(), trained(extract(whole, MASKS[2]))]
    given = list(zip([told(MASKS[1]), told(MASKS[1], "ladder"), told(MASKS[2])], models, strict=True))
    nested, _ = write_nested(tmp_path / "family", whole, tiny_tokenizer, given, "here")
    for model, one in zip(models, nested.models, strict=True):
        loaded = nested.load(one)
        assert loaded.dtype == model.dtype
        assert same(loaded, model)
    assert [one.own_bytes > 0 for one in nested.models] == [False, False, True]


def test_what_fails_midway_leaves_what_was_there(tiny_models, tiny_tokenizer, tmp_path):
    whole, to = tiny_models["bert"], tmp_path / "family"

    def given():
        yield told(MASKS[1]), trained(extract(whole, MASKS[1]))
        raise InputError("its weights are gone")

    for _ in range(2):
        with pytest.raises(InputError, match="its weights are gone"):
            write_nested(to, whole, tiny_tokenizer, given(), "here")
        assert [path.name for path in tmp_path.iterdir()] == ([] if not to.exists() else [to.name])
        if not to.exists():
            write_nested(to, whole, tiny_tokenizer, [(told(MASKS[0]), extract(whole, MASKS[0]))], "here")
    assert [one.mask for one in read_nested(to).models] == [MASKS[0]]


@pytest.mark.parametrize("change", ["models", "files", "conditions", "not JSON", "a list"])
def test_a_description_that_lacks_something(change, tiny_models, tiny_tokenizer, tmp_path):
    whole = tiny_models["bert"]
    given = [(told(MASKS[1]), trained(extract(whole, MASKS[1])))]
    write_nested(tmp_path / "family", whole, tiny_tokenizer, given, "here")
    path = tmp_path / "family" / NESTED
    found = json.loads(path.read_text())
    found.pop("digest")
    found.pop(change, None)
    path.write_text({"not JSON": "{", "a list": "[]"}.get(change, json.dumps(found)))
    message = message_of(lambda: read_nested(tmp_path / "family"))
    assert f"{path} is damaged" in message
    assert "write the folder anew with `secateur nest`" in message


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_steps_lead_to_the_same_bits(dtype):
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(50, 8, generator=generator).to(dtype)
    reference[0, :4] = torch.tensor([0.0, -0.0, torch.inf, torch.finfo(dtype).tiny])
    integers = {4: torch.int32, 2: torch.int16}[dtype.itemsize]
    for most in (1, 100) if dtype.itemsize == 2 else (1, 100, 30_000):
        near = reference.clone()
        near.view(integers)[1:] += torch.randint(-most, most + 1, (49, 8), generator=generator, dtype=integers)
        near[7] = 3.0
        near[8, 0] = -near[8, 0]
        near[9] = torch.nan
        stored = steps_between(reference, near)
        assert stored is not None
        assert stored["steps"].dtype == (torch.int8 if most <= 100 else torch.int16)
        assert sum(part.nbytes for part in stored.values()) < 0.8 * near.nbytes
        made = reference.clone()
        add_steps(made, stored)
        assert torch.equal(made.view(integers), near.view(integers))
    assert set(named("w").values()) == {"w.steps", "w.rows", "w.values"}


def test_tensors_too_far_apart_have_no_steps():
    one = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32))
    assert steps_between(one, one + 1) is None
    assert steps_between(one, one[:10]) is None
    assert steps_between(one, one.bfloat16()) is None
    assert steps_between(one[0], one[0]) is None
    assert steps_between(one.double(), one.double()) is None
    assert steps_between(torch.zeros(0, 4), torch.zeros(0, 4)) is None
