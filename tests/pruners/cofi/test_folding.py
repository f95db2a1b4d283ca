"""The contract: masked, run on folded slices, folded, extracted and reloaded models agree; gradients are exact."""

import copy

import numpy as np
import pytest
import torch
from secateur.pruners.cofi.folding import fold, fold_embedded, fold_into
from secateur.pruners.cofi.masks import MaskValues, new_logits, sampled
from secateur.pruners.cofi.passes import run
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.extraction import extract
from secateur.supernet.heads import read_outputs
from secateur.supernet.training.step import GradientStep
from secateur.tasks.batches import Batch
from secateur.tests.pruners.cofi.reference import masked
from secateur.tests.supernet.test_parity import in_memory
from secateur.tests.tiny import padded_batch, tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
SETS = 42  # per model, of which there are five
TOLERANCE = 1e-5


def random_values(seed: int) -> MaskValues:
    """Draw masks: soft, hard or mixed, from nearly all zero to nearly all open; some as training draws them."""
    generator = torch.Generator().manual_seed(seed)
    if seed % 7 == 0:
        logits = MaskValues.full(SHAPE, 0.0).map(lambda part: torch.randn(part.shape, generator=generator) * 2)
        return sampled(logits, generator)
    ones = (0.0, 0.5, 1.0)[seed % 3]

    def draw(part: torch.Tensor) -> torch.Tensor:
        kept = torch.rand(part.shape, generator=generator) < 0.15 + 0.8 * torch.rand((), generator=generator)
        soft = 0.05 + 0.95 * torch.rand(part.shape, generator=generator)
        is_one = torch.rand(part.shape, generator=generator) < ones
        return kept * torch.where(is_one, 1.0, soft)

    values = MaskValues.full(SHAPE, 0.0).map(draw)
    values.hidden[seed % 16] = 1.0
    return values


def as_batch(batch: dict[str, torch.Tensor]) -> Batch:
    real = batch["attention_mask"].bool()
    return Batch(batch["input_ids"], batch.get("token_type_ids"), real, torch.zeros(3), np.arange(3))


def on_slices(supernet: Supernet, values: MaskValues, batch: Batch, step: GradientStep | None = None, *, wide=False):
    """Run on slices; residual dimensions that are zero are cut, or `wide`, as in training, multiplied by it."""
    step, mask = step or GradientStep(supernet), values.kept()
    if wide:
        mask = SubnetMask(mask.heads, mask.neurons, np.ones(16, bool))
    step.begin(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    slices = step.take(mask)
    weights, embedded = fold(slices.weights, slices.pieces, values, supernet), slices.embedded
    if not supernet.projected:
        embedded = fold_embedded(embedded, values, slices.columns)
    return slices, run(supernet, weights, embedded, batch, [0, 1, 2])


@torch.no_grad()
def logits(model, batch):
    return model(**batch).logits


def test_all_ways_agree(model, batch):
    supernet, folded, texts, dropped = *(Supernet(copy.deepcopy(model)) for _ in range(2)), as_batch(batch), 0
    step, double = GradientStep(supernet), copy.deepcopy(model).double()
    for seed in range(SETS):
        values = random_values(seed)
        mask = values.kept()
        dropped += (np.array(mask.heads_per_layer) == 0).sum() + (np.array(mask.neurons_per_layer) == 0).sum()
        with masked(double, values) as reference:
            expected = logits(reference, batch).float()
        folded.model.load_state_dict(model.state_dict())
        fold_into(folded, values)
        extracted = extract(folded.model, mask)
        ways = {
            "slices": on_slices(supernet, values, texts, step)[1].outputs,
            "wide slices": on_slices(supernet, values, texts, step, wide=True)[1].outputs,
            "folded": folded.subnet(mask)(**batch),
            "extracted": logits(extracted, batch),
            "reloaded": logits(in_memory(extracted), batch),
        }
        for name, found in ways.items():
            torch.testing.assert_close(
                found.detach(), expected, atol=TOLERANCE, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
            )
    assert dropped > SETS // 2


@pytest.mark.parametrize("head", ["question-answering", "token-classification"])
def test_heads_that_read_every_token(head):
    model = tiny_model("bert", head)
    batch, supernet, double = padded_batch(model), Supernet(model), copy.deepcopy(model).double()
    real = batch["attention_mask"].bool()
    for seed in range(1, 12):
        values = random_values(seed)
        with masked(double, values) as reference, torch.no_grad():
            expected = read_outputs(reference(**batch), real).float()
        for wide in (False, True):
            found = on_slices(supernet, values, as_batch(batch), wide=wide)[1].outputs
            torch.testing.assert_close(found.detach(), expected, atol=TOLERANCE, rtol=0)


def test_different_masks_differ(model, batch):
    supernet, texts = Supernet(copy.deepcopy(model)), as_batch(batch)
    outputs = [on_slices(supernet, random_values(seed), texts)[1].outputs for seed in range(1, 5)]
    for i, one in enumerate(outputs):
        assert all((one - other).abs().max() > 100 * TOLERANCE for other in outputs[:i])


def test_states_are_those_of_real_tokens(model, batch):
    supernet, texts = Supernet(copy.deepcopy(model)), as_batch(batch)
    values = MaskValues.full(SHAPE, 1.0)
    states = on_slices(supernet, values, texts)[1].states
    with torch.no_grad():
        expected = model(**batch, output_hidden_states=True).hidden_states[1:]
    real = batch["attention_mask"].bool()
    if supernet.family.final_norm is not None:
        states[-1] = model.get_submodule(supernet.family.final_norm)(states[-1])
    for found, one in zip(states, expected, strict=True):
        torch.testing.assert_close(found, one[real], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("wide", [False, True], ids=["cut", "wide"])
def test_gradients(model, batch, wide):
    """Of masks against finite differences, of weights against the masked model in double precision."""
    supernet, texts = Supernet(copy.deepcopy(model).double()), as_batch(batch)
    values = random_values(4).map(lambda part: part.double().requires_grad_())
    step, double = GradientStep(supernet, torch.float64), copy.deepcopy(model).double()
    slices, seen = on_slices(supernet, values, texts, step, wide=wide)
    goal = torch.linspace(-1, 1, seen.outputs.numel(), dtype=torch.float64).view_as(seen.outputs)
    (seen.outputs * goal).sum().backward()
    step.collect(slices)
    step.finish()

    def total(parts: list[torch.Tensor]) -> float:
        with masked(double, MaskValues(*parts)) as reference:
            return float((logits(reference, batch) * goal).sum())

    # transformers turns ModernBERT's queries and keys in single precision, whatever the model's.
    step_size, allowed = (1e-2, 1e-3) if model.config.model_type == "modernbert" else (1e-6, 1e-6)
    rng = np.random.default_rng(0)
    for number, part in enumerate(values):
        assert part.grad is not None
        alive = [place for place in np.ndindex(*part.shape) if part[place] > 0]
        for place in rng.permutation(alive)[:4]:
            ends = []
            for sign in (1, -1):
                parts = [one.detach().clone() for one in values]
                parts[number][tuple(place)] += sign * step_size
                ends.append(total(parts))
            slope = (ends[0] - ends[1]) / (2 * step_size)
            assert float(part.grad[tuple(place)]) == pytest.approx(slope, abs=allowed, rel=10 * allowed)

    with masked(double, values) as reference:
        (reference(**batch).logits * goal).sum().backward()
        for name, parameter in reference.named_parameters():
            expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            torch.testing.assert_close(step.gradients[name], expected, atol=min(allowed, 1e-4), rtol=10 * allowed)


def test_a_residual_dimension_always_survives():
    logits = MaskValues.full(SHAPE, -4.0)
    logits.hidden[5] = -3.9
    drawn = [sampled(logits, torch.Generator().manual_seed(seed)) for seed in range(300)]
    assert all(values.kept().hidden_size >= 1 for values in drawn)
    saved = [values for values in drawn if float(values.hidden.sum()) == float(values.hidden[5]) == 1.0]
    assert len(saved) > 20


def test_the_same_seed_draws_the_same_masks():
    logits = new_logits(SHAPE, torch.Generator().manual_seed(0), torch.device("cpu"))
    one, same, other = (sampled(logits, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.neurons, other.neurons)
