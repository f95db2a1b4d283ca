import torch
from secateur.search_space import SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.gates import gated, run_whole, watched
from secateur.tests.tiny import padded_batch

KEPT_HEADS, KEPT_NEURONS = (3, 1, 2), (7, 20, 1)


def hooks(model) -> int:
    """Count them: a model that was asked for its hidden states keeps some of transformers' own."""
    return sum(len(module._forward_pre_hooks) + len(module._forward_hooks) for module in model.modules())


@torch.no_grad()
def test_zeros_are_removal(headed):
    supernet, batch, before = Supernet(headed), padded_batch(headed), hooks(headed)
    mask = SubnetMask.from_counts(supernet.shape, KEPT_HEADS, KEPT_NEURONS)
    with gated(supernet, torch.tensor(mask.heads), torch.tensor(mask.neurons)):
        closed = run_whole(supernet, batch)
    torch.testing.assert_close(closed, supernet.subnet(mask).outputs(**batch), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(closed, run_whole(supernet, batch), atol=1e-3)
    assert hooks(headed) == before


@torch.no_grad()
def test_each_text_can_have_its_own_factors(model, batch):
    supernet = Supernet(model)
    generator = torch.Generator().manual_seed(0)
    heads, neurons = torch.rand(3, 3, 4, generator=generator), torch.rand(3, 3, 24, generator=generator)
    with gated(supernet, heads, neurons):
        together = run_whole(supernet, batch)
    for text in range(3):
        with gated(supernet, heads[text], neurons[text]):
            alone = run_whole(supernet, batch)[text]
        torch.testing.assert_close(together[text], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_what_is_watched_is_what_flows(model, batch):
    supernet, before = Supernet(model), hooks(model)
    heads, neurons = {}, {}
    with watched(supernet, heads.__setitem__, neurons.__setitem__):
        shown = run_whole(supernet, batch)
    assert torch.equal(shown, run_whole(supernet, batch))
    assert {layer: tuple(flow.shape) for layer, flow in heads.items()} == dict.fromkeys(range(3), (3, 7, 16))
    assert {layer: tuple(flow.shape) for layer, flow in neurons.items()} == dict.fromkeys(range(3), (3, 7, 24))
    assert hooks(model) == before


def test_an_error_leaves_no_hooks(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    before = hooks(supernet.model)
    try:
        with gated(supernet, torch.ones(3, 4), torch.ones(3, 24)):
            raise KeyError
    except KeyError:
        pass
    assert hooks(supernet.model) == before


@torch.no_grad()
def test_dropout_is_off_in_training_mode_too(tiny_models, batch):
    supernet = Supernet(tiny_models["bert"])
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
    expected = run_whole(supernet, inputs)
    supernet.model.train()
    try:
        assert torch.equal(run_whole(supernet, inputs), expected)
        assert supernet.model.training
    finally:
        supernet.model.eval()
