"""What every pruner that removes units must hold to; those that remove single weights have tests of their own."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.pruners import PRUNERS, Pruned, Pruner, make_pruner
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.gates import gated, run_whole
from secateur.tasks.kinds import KINDS
from secateur.tasks.metrics import METRICS
from secateur.tasks.task import Task
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import padded_batch, tiny_model
from transformers import BertConfig, BertForSequenceClassification

NAMES = [name for name in PRUNERS if make_pruner(name).recovery != "native"]
DENSITY = 0.7
BLOCKS = (("attention_output", "heads", 4), ("ffn_out", "neurons", 1))  # where scales are, of what, columns of a unit


def task() -> Task:
    whole = toy_task()
    few = range(24)
    train = replace(whole.train, input_ids=[whole.train.input_ids[i] for i in few], labels=whole.train.labels[:24])
    return replace(whole, train=train)


@pytest.fixture(scope="module")
def supernet() -> Supernet:
    return Supernet(tiny_model("bert"))


@pytest.fixture(scope="module", params=NAMES)
def pruner(request) -> Pruner:
    return make_pruner(request.param)


@pytest.fixture(scope="module")
def pruned(supernet, pruner) -> Pruned:
    return pruner.prune(supernet, task(), DENSITY, np.random.default_rng(0))


@pytest.mark.parametrize("family", ["mpnet", "nomic_bert", "modernbert", "deberta-v2"])
def test_encoders_of_other_layouts_are_cut(pruner, family):
    net, toys = Supernet(tiny_model(family)), task()
    before = {name: parameter.clone() for name, parameter in net.parameters.items()}
    pruned = pruner.prune(
        net, replace(toys, pad_token_id=net.model.config.pad_token_id), DENSITY, np.random.default_rng(0)
    )
    assert DENSITY - 0.15 < pruned.density <= DENSITY
    layers = pruned.model.get_submodule(net.family.layers)
    assert sum(p.numel() for p in layers.parameters()) == pruned.mask.encoder_parameters(net.shape)
    batch = padded_batch(net.model)
    with torch.no_grad():
        found, cut = pruned.model(**batch).logits, extract(net.model, pruned.mask)(**batch).logits
    assert found.isfinite().all()
    assert pruner.recovery == "refit" or pruner.name in ("kcm", "mask_tuning") or torch.allclose(found, cut, atol=1e-5)
    assert all(torch.equal(before[name], parameter) for name, parameter in net.parameters.items())


def test_an_unknown_pruner():
    with pytest.raises(InputError, match=r"unknown pruner 'shears'; known: .*deepcuts_cam, .*rank_smooth"):
        make_pruner("shears")


def test_the_density_holds(supernet, pruner, pruned):
    full = supernet.shape.encoder_parameters
    assert pruned.density == pytest.approx(pruned.mask.encoder_parameters(supernet.shape) / full)
    assert DENSITY - 0.1 < pruned.density <= DENSITY
    layers = pruned.model.get_submodule(supernet.family.layers)
    assert sum(p.numel() for p in layers.parameters()) == pruned.mask.encoder_parameters(supernet.shape)
    assert pruned.provenance.method == pruner.name in NAMES
    assert pruned.provenance.seconds > 0


def test_a_block_of_a_layer_that_stays_is_not_emptied(pruner, pruned):
    stays = pruned.mask.heads.any(axis=1)
    assert (stays == pruned.mask.neurons.any(axis=1)).all()
    assert stays.all() or pruner.name.startswith("layer_drop")


def test_the_model_computes_what_the_subnetwork_does_with_scaled_units(supernet, pruner, pruned):
    if pruner.recovery == "refit":
        pytest.skip("its outgoing maps are solved for anew")
    batch, factors = padded_batch(supernet.model), {}
    parameters, kept_layers = dict(pruned.model.named_parameters()), np.flatnonzero(pruned.mask.heads.any(axis=1))
    for part, kind, width in BLOCKS:
        mask = getattr(pruned.mask, kind)
        factors[kind] = torch.zeros(mask.shape)
        for position, layer in enumerate(kept_layers):
            name = f"{supernet.family.layer_path(int(layer), part)}.weight"
            own = parameters[f"{supernet.family.layer_path(position, part)}.weight"].detach().view(16, -1, width)
            kept = torch.from_numpy(np.flatnonzero(mask[layer]))
            source = supernet.parameters[name].detach().view(16, -1, width)[:, kept]
            scale = (own * source).sum((0, 2)) / source.square().sum((0, 2))
            torch.testing.assert_close(own, source * scale[:, None], atol=1e-5, rtol=1e-5)
            factors[kind][layer, kept] = scale
    scaled = any((factors[kind][factors[kind] != 0] - 1).abs().max() > 1e-5 for kind in factors)
    assert scaled == (pruner.name in ("kcm", "mask_tuning"))
    with torch.no_grad():
        found = pruned.model(**batch).logits
        if len(kept_layers) < supernet.shape.num_layers:  # a gate removes units, not the LayerNorm of an empty block
            expected = supernet.subnet(pruned.mask)(**batch)
        else:
            with gated(supernet, factors["heads"], factors["neurons"]):
                expected = run_whole(supernet, batch)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_a_refit_changes_outgoing_maps_alone(supernet, pruner, pruned):
    if pruner.recovery != "refit":
        pytest.skip("nothing is solved for")
    sliced, own = extract(supernet.model, pruned.mask), dict(pruned.model.named_parameters())
    changed = {name for name, parameter in sliced.named_parameters() if not torch.equal(parameter, own[name])}
    paths = {name.rpartition(".")[0].removeprefix(f"{supernet.family.layers}.") for name in changed}
    parts = supernet.family.layer
    assert {path.partition(".")[2] for path in paths} == {parts.attention_output, parts.ffn_out}


def test_the_supernet_is_left_as_it_was(supernet, pruned):
    untouched = tiny_model("bert")
    for name, tensor in untouched.state_dict().items():
        assert torch.equal(tensor, supernet.model.state_dict()[name])
    assert all(parameter.requires_grad and parameter.grad is None for parameter in supernet.model.parameters())
    for module in supernet.model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    assert not supernet.model.training


def test_the_model_is_independent_and_ready(supernet, pruned):
    owned = {p.untyped_storage().data_ptr() for p in supernet.model.parameters()}
    assert not owned & {p.untyped_storage().data_ptr() for p in pruned.model.parameters()}
    assert not any(module.training for module in pruned.model.modules())
    pruned.model(**padded_batch(supernet.model)).logits.sum().backward()  # it can be trained on
    layers = pruned.model.get_submodule(supernet.family.layers)
    assert all(p.grad is not None for p in layers.parameters())
    pruned.model.zero_grad()


def test_same_seed_same_result(supernet, pruner, pruned):
    again = make_pruner(pruner.name).prune(supernet, task(), DENSITY, np.random.default_rng(0))
    assert again.mask == pruned.mask
    assert again.density == pruned.density
    for name, tensor in pruned.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])


@pytest.mark.parametrize(
    ("density", "message"),
    [
        (0.0, "a density is a share above 0 and at most 1, got 0; give one such as 0.6"),
        (1.5, "a density is a share above 0 and at most 1, got 1.5; give one such as 0.6"),
        (float("nan"), "a density is a share above 0 and at most 1, got nan; give one such as 0.6"),
        (0.01, "{name} cannot go below a density of {floor:.3f} on this model, got 0.01; give a larger one or choose "
               "another method"),
    ],
)  # fmt: skip
def test_impossible_densities(supernet, pruner, density, message):
    with pytest.raises(InputError) as error:
        pruner.prune(supernet, task(), density, np.random.default_rng(0))
    assert str(error.value) == message.format(name=pruner.name, floor=pruner.floor(supernet))


def test_the_floor_can_be_reached(supernet, pruner):
    floor = pruner.floor(supernet)
    assert pruner.prune(supernet, task(), floor, np.random.default_rng(0)).density == pytest.approx(floor)


def test_regression(pruner):
    config = BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12, num_labels=1
    )
    supernet, whole = Supernet(BertForSequenceClassification(config).eval()), task()
    labels = np.random.default_rng(0).random(len(whole.train)).astype(np.float32)
    scored = replace(
        whole,
        kind=KINDS["regression"],
        label_names=("score",),
        metric=METRICS["spearman"],
        train=replace(whole.train, labels=labels),
    )
    pruned = pruner.prune(supernet, scored, DENSITY, np.random.default_rng(0))
    assert pruned.density <= DENSITY
    assert pruned.model(torch.tensor([[2, 5, 3]])).logits.shape == (1, 1)
