import copy

import numpy as np
import pytest
import torch
from secateur.search_space import SubnetMask, UnitScores
from secateur.supernet import Supernet
from secateur.supernet.reordering import head_order, measured_layer_order, reorder, reorder_width
from secateur.tasks.batches import sorted_batches
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model


def random_scores(supernet: Supernet, seed: int = 0) -> UnitScores:
    rng, shape = np.random.default_rng(seed), supernet.shape
    return UnitScores(
        rng.random((shape.num_layers, shape.num_heads)), rng.random((shape.num_layers, shape.intermediate_size))
    )


def rising_scores(supernet: Supernet) -> UnitScores:
    """Return scores with which every layer is reversed."""
    shape = supernet.shape
    return UnitScores(
        np.tile(np.arange(shape.num_heads), (shape.num_layers, 1)),
        np.tile(np.arange(shape.intermediate_size), (shape.num_layers, 1)),
    )


@torch.no_grad()
def test_the_whole_model_computes_what_it_did(model, batch):
    sorted_net = Supernet(copy.deepcopy(model))
    reorder(sorted_net, rising_scores(sorted_net))
    torch.testing.assert_close(sorted_net.model(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)
    changed = [name for name, p in sorted_net.model.named_parameters() if not torch.equal(p, model.get_parameter(name))]
    family, names = sorted_net.family, dict(model.named_parameters())
    into = [path for layer in range(3) for part in ("qkv", "ffn_in") for path in family.layer_paths(layer, part)]
    out_of = [family.layer_path(layer, part) for layer in range(3) for part in ("attention_output", "ffn_out")]
    expected = {f"{path}.weight" for path in (*into, *out_of)} | {f"{path}.bias" for path in into}
    if family.relative_bias is not None:
        expected.add(f"{family.relative_bias}.weight")
    assert set(changed) == expected & {*names}


def test_the_first_k_are_the_best_k(model, batch):
    own = Supernet(model)
    scores = random_scores(own, seed=1)
    sorted_net = Supernet(copy.deepcopy(model))
    reorder(sorted_net, scores)
    heads, neurons = [3, 1, 2], [5, 24, 1]
    best = SubnetMask(
        [np.isin(np.arange(4), head_order(own, scores)[layer][: heads[layer]]) for layer in range(3)],
        [np.isin(np.arange(24), scores.neuron_order[layer][: neurons[layer]]) for layer in range(3)],
        np.ones(own.shape.hidden_size, bool),
    )
    first = SubnetMask.from_counts(own.shape, heads, neurons)
    expected = own.subnet(best)(**batch)
    torch.testing.assert_close(sorted_net.subnet(first)(**batch), expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(own.subnet(first)(**batch), expected, atol=1e-3)


def test_scores_in_order_change_nothing(model):
    net = Supernet(copy.deepcopy(model))
    rising = rising_scores(net)
    reorder(net, UnitScores(-rising.heads, -rising.neurons))
    assert all(torch.equal(p, model.get_parameter(name)) for name, p in net.model.named_parameters())


def test_scores_of_another_encoder_are_refused(tiny_models):
    with pytest.raises(ValueError, match=r"heads \(3, 4\) and neurons \(3, 24\), got \(1, 4\) and \(1, 24\)"):
        reorder(Supernet(tiny_models["bert"]), UnitScores(np.ones((1, 4)), np.ones((1, 24))))


@torch.no_grad()
def test_sorted_dimensions_compute_what_they_did(model, batch):
    own, sorted_net = Supernet(model), Supernet(copy.deepcopy(model))
    order = np.random.default_rng(0).permutation(16)
    scores = np.zeros(16)
    scores[order] = np.arange(16, 0, -1)
    reorder_width(sorted_net, scores)
    torch.testing.assert_close(sorted_net.model(**batch).logits, model(**batch).logits, atol=1e-5, rtol=1e-5)

    heads, neurons = [4, 2, 0], [24, 0, 3]
    units = SubnetMask.from_counts(own.shape, heads, neurons)
    best = SubnetMask(units.heads, units.neurons, np.isin(np.arange(16), order[:5]))
    first = SubnetMask.from_counts(own.shape, heads, neurons, 5)
    torch.testing.assert_close(sorted_net.subnet(first)(**batch), own.subnet(best)(**batch), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(own.subnet(first)(**batch), own.subnet(best)(**batch), atol=1e-3)


def test_scores_of_another_width_are_refused(tiny_models):
    with pytest.raises(ValueError, match=r"needs scores of 16 dimensions, got shape \(4,\)"):
        reorder_width(Supernet(tiny_models["bert"]), np.ones(4))


@pytest.mark.parametrize("idle", range(3))
@pytest.mark.parametrize("kind", ["classification", "question-answering", "token-classification"])
def test_the_layer_that_does_nothing_goes_first(kind, idle):
    """It adds nothing to what it reads, which is normalised already: only a network that lacks it computes the same."""
    task = toy_task(30, kind)
    net = Supernet(tiny_model("bert", task.kind.head))
    with torch.no_grad():
        for layer in range(3):
            for part in ("attention_output", "ffn_out"):
                for end in ("weight", "bias"):
                    net.parameters[f"{net.family.layer_path(layer, part)}.{end}"].mul_(0.0 if layer == idle else 20.0)
    batches = sorted_batches(task.train, tokens=64, pad_token_id=0)
    order = measured_layer_order(net, batches, task.kind)
    assert sorted(order) == [0, 1, 2]
    assert order[-1] == idle
    assert order == measured_layer_order(net, batches, task.kind)
