"""Final masks: as many units as are expected to be open, at exactly the density asked for."""

import numpy as np
import pytest
import torch
from secateur.pruners.cofi.hard_concrete import LARGEST
from secateur.pruners.cofi.masks import MaskValues, clamp, final_values
from secateur.search_space import EncoderShape, SubnetMask

MINILM = EncoderShape(num_layers=6, num_heads=12, head_size=32, hidden_size=384, intermediate_size=1536)
TINY = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


def random_logits(shape: EncoderShape, seed: int) -> MaskValues:
    """Draw logits, around a mean and with a spread of each granularity's own, many of them at their bounds."""
    generator = torch.Generator().manual_seed(seed)

    def draw(part: torch.Tensor) -> torch.Tensor:
        mean, spread = torch.randn(2, generator=generator) * torch.tensor([2.0, 3.0])
        return mean + spread * torch.randn(part.shape, generator=generator)

    logits = MaskValues.full(shape, 0.0).map(draw)
    clamp(logits)
    return logits


@pytest.mark.parametrize("density", [1.0, 0.6, 0.4, 0.2, 0.1, 0.05])
def test_the_budget_is_met(density):
    for seed in range(3):
        mask = final_values(random_logits(MINILM, seed), MINILM, density).kept()
        found = mask.encoder_parameters(MINILM) / MINILM.encoder_parameters
        assert density - 0.01 <= found <= density


def test_the_budget_holds_however_small_the_encoder():
    for seed in range(40):
        density = (seed + 1) / 40
        mask = final_values(random_logits(TINY, seed), TINY, density).kept()
        assert mask.encoder_parameters(TINY) <= density * TINY.encoder_parameters
        assert mask.hidden_size >= 1


def polarised() -> MaskValues:
    """Return logits as trained ones are: sure of nearly all."""
    rng = np.random.default_rng(0)
    logits = MaskValues.full(MINILM, LARGEST)
    for part in (logits.heads, logits.neurons, logits.hidden):
        closed = torch.from_numpy(rng.random(part.shape) < 0.4)
        part[closed] = -LARGEST
        part += torch.from_numpy(rng.normal(0, 0.3, part.shape)).float()
    logits.ffn[2] = -2.0
    clamp(logits)
    return logits


def test_expected_counts_stay_where_they_give_the_density():
    logits = polarised()
    counts = {
        name: torch.sigmoid(getattr(logits, name) + 1.598597).sum(-1).round().int()
        for name in ("heads", "neurons", "hidden")
    }
    counts["neurons"][2] = 0  # its block is closed
    natural = SubnetMask.from_counts(MINILM, counts["heads"].numpy(), counts["neurons"].numpy(), int(counts["hidden"]))
    density = natural.encoder_parameters(MINILM) / MINILM.encoder_parameters
    values = final_values(logits, MINILM, density)
    mask = values.kept()
    assert mask.heads_per_layer == natural.heads_per_layer
    assert mask.hidden_size == natural.hidden_size
    assert np.abs(np.subtract(mask.neurons_per_layer, natural.neurons_per_layer)).max() <= 1
    for name in ("heads", "neurons", "hidden"):
        part, found = torch.atleast_2d(getattr(logits, name)), torch.atleast_2d(getattr(values, name))
        torch.testing.assert_close(found[found > 0], torch.sigmoid(0.8 * part * 1.5)[found > 0])
        for one, value in zip(part, found, strict=True):
            assert one[value > 0].min() >= one[value == 0].max()  # the best are kept


def test_blocks_open_again_where_the_others_are_too_small():
    logits = MaskValues.full(MINILM, LARGEST)
    logits.attention.copy_(torch.tensor([-2.0, -4.0, -4.5, -4.5, -4.5, -4.5]))
    logits.ffn.copy_(torch.tensor([3.0, -4.2, -2.5, -4.5, -4.5, -4.5]))
    found = final_values(logits, MINILM, 0.1).kept()
    assert [layer for layer, heads in enumerate(found.heads_per_layer) if heads] == []
    assert [layer for layer, neurons in enumerate(found.neurons_per_layer) if neurons] == [0]
    found = final_values(logits, MINILM, 0.2).kept()
    assert [layer for layer, heads in enumerate(found.heads_per_layer) if heads] == [0]
    assert [layer for layer, neurons in enumerate(found.neurons_per_layer) if neurons] == [0, 2]


def test_a_dropped_block_needs_a_zero_or_no_units():
    values = MaskValues.full(TINY, 0.5)
    values.attention[0] = 0
    values.heads[1] = 0
    values.neurons[2, 1:] = 0
    mask = values.kept()
    assert mask.heads_per_layer == (0, 0, 4)
    assert mask.neurons_per_layer == (24, 24, 1)
