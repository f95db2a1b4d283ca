"""Gradients of a step on slices against autograd through the model multiplied by masks."""

import copy

import numpy as np
import pytest
import torch
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.heads import head_of, read_outputs
from secateur.supernet.training.step import GradientStep
from secateur.tasks.batches import Batch
from secateur.tasks.kinds import KINDS
from secateur.tests.supernet.reference import multiplied
from secateur.tests.tiny import padded_batch
from torch import Tensor

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


def counts(heads, neurons, hidden=16) -> SubnetMask:
    return SubnetMask.from_counts(SHAPE, heads, neurons, hidden)


def scattered(seed: int, *, hidden: bool) -> SubnetMask:
    rng = np.random.default_rng(seed)
    kept = rng.random(16) < 0.6 if hidden else np.ones(16, bool)
    return SubnetMask(rng.random((3, 4)) < 0.6, rng.random((3, 24)) < 0.6, kept)


FULL = SubnetMask.full(SHAPE)
STEPS = {
    "whole": [FULL],
    "prefixes": [FULL, counts([1, 1, 1], [1, 1, 1]), counts([3, 0, 2], [7, 24, 0])],
    "scattered": [scattered(0, hidden=False), scattered(1, hidden=False)],
    "whole last": [counts([2, 2, 0], [5, 5, 0]), FULL],
    "narrow": [counts([2, 2, 2], [5, 5, 5], 9), FULL, counts([1, 0, 4], [24, 1, 0], 2)],
    "scattered width": [scattered(2, hidden=True), FULL, scattered(3, hidden=True)],
    "no layers": [counts([0, 0, 0], [0, 0, 0], 5), counts([0, 0, 0], [0, 0, 0])],
    "twice the same": [counts([2, 3, 4], [9, 9, 9]), counts([2, 3, 4], [9, 9, 9])],
}


def inputs(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor | None]:
    return batch["input_ids"], batch["attention_mask"].bool(), batch.get("token_type_ids")


def loss_of(i: int, outputs: Tensor, model, batch: dict[str, Tensor]) -> Tensor:
    """A loss of its own for each pass, so that mixed-up passes show."""
    head, real = head_of(model), batch["attention_mask"].bool()
    if head == "sequence-classification":
        kind, labels = KINDS["classification"], torch.tensor([0, 2, 1])
    elif head == "embedding":
        kind, labels = KINDS[head], torch.arange(outputs.numel()).view(outputs.shape) % 5.0
    else:
        spans = torch.tensor([[1, 2], [0, 0], [0, 0]])
        tags = torch.arange(int(real.sum())) % 4
        kind, labels = KINDS[head], spans if head == "question-answering" else tags.where(tags < 3, -100)
    labelled = Batch(batch["input_ids"], None, real, labels, np.arange(3))
    if i % 2:
        teacher = torch.arange(outputs.numel()).view(outputs.shape) % 7.0
        return kind.distillation(outputs, teacher, labelled, temperature=2.0, label_weight=1.0)
    return (i + 1) * kind.loss(outputs, labelled)


def outputs(model, batch: dict[str, Tensor]) -> Tensor:
    return read_outputs(model(**batch), batch["attention_mask"])


def reference_gradients(model, batch, masks) -> dict[str, Tensor]:
    model = copy.deepcopy(model)
    for i, mask in enumerate(masks):
        with multiplied(model, mask):
            loss_of(i, outputs(model, batch), model, batch).backward()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in model.named_parameters()}


def run(step: GradientStep, batch, masks) -> None:
    step.begin(*inputs(batch))
    for i, mask in enumerate(masks):
        step.run(mask, lambda found, i=i: loss_of(i, found, step.supernet.model, batch))
    step.finish()


def check(model, step, batch, masks) -> None:
    expected = reference_gradients(model, batch, masks)
    got = {name: p.grad for name, p in step.supernet.model.named_parameters()}
    assert got.keys() == expected.keys()
    atol = 5e-4 if head_of(model) == "embedding" else 2e-5  # of short vectors directions have steep gradients
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, atol=atol, rtol=1e-4, msg=lambda text, name=name: name + text)


def other_batch(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return other tokens in a shorter batch without padding, so other rows of all tables."""
    ids = (batch["input_ids"][:, :3] + 11) % 40
    ids[ids < 4] = 17
    changed = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "token_type_ids" in batch:
        changed["token_type_ids"] = torch.zeros_like(ids)
    return changed


@pytest.mark.parametrize("masks", STEPS.values(), ids=STEPS.keys())
def test_gradients_are_those_of_the_multiplied_model(headed, masks):
    step, batch = GradientStep(Supernet(copy.deepcopy(headed))), padded_batch(headed)
    run(step, batch, masks)
    check(headed, step, batch, masks)


def test_a_head_that_reads_each_token_reads_those_of_a_batch_without_padding(headed):
    step, masks, batch = GradientStep(Supernet(copy.deepcopy(headed))), STEPS["narrow"], padded_batch(headed)
    run(step, batch, masks)
    run(step, other_batch(batch), masks)
    check(headed, step, other_batch(batch), masks)


def test_each_step_starts_from_zero(model, batch):
    """Buffers are reused and cleared only where they must be: what is left over would show."""
    step = GradientStep(Supernet(copy.deepcopy(model)))
    for masks, texts in [
        (STEPS["whole"], batch),
        (STEPS["no layers"], other_batch(batch)),
        (STEPS["narrow"], batch),
        (STEPS["scattered"], other_batch(batch)),
        (STEPS["whole"], other_batch(batch)),
    ]:
        run(step, texts, masks)
        check(model, step, texts, masks)


def test_rows_written_from_outside_are_forgotten(model, batch):
    step = GradientStep(Supernet(copy.deepcopy(model)))
    run(step, batch, [FULL])
    for gradient in step.gradients.values():
        gradient.fill_(1.0)
    step.forget_rows()
    run(step, other_batch(batch), [FULL])
    check(model, step, other_batch(batch), [FULL])


def test_what_no_pass_used_gets_zero(model, batch):
    supernet = Supernet(copy.deepcopy(model))
    step = GradientStep(supernet)
    run(step, batch, [FULL])
    run(step, batch, [counts([4, 0, 0], [0, 24, 0])])
    unused = [
        f"{path}.{kind}"
        for layer, parts in enumerate((("ffn_in", "ffn_out", "ffn_norm"), ("qkv", "attention_norm"), ("qkv", "ffn_in")))
        for part in parts
        for path in supernet.family.layer_paths(layer, part)
        for kind in ("weight", "bias")
    ]
    for name, parameter in supernet.model.named_parameters():
        if name in unused:
            assert not parameter.grad.any(), name
    assert supernet.model.get_parameter(f"{supernet.family.layer_paths(1, 'ffn_in')[0]}.weight").grad.any()
    assert not supernet.model.get_parameter(f"{supernet.family.embeddings.word}.weight").grad[0].any()


def test_outputs_are_the_models(headed):
    step, batch = GradientStep(Supernet(copy.deepcopy(headed))), padded_batch(headed)
    step.begin(*inputs(batch))
    with torch.no_grad():
        expected = outputs(headed, batch)
    torch.testing.assert_close(step.predict(FULL), expected, atol=1e-5, rtol=0)
    got = step.run(FULL, lambda found: found.sum())
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)
    assert not got.requires_grad


def test_predicting_teaches_nothing(model, batch):
    step = GradientStep(Supernet(copy.deepcopy(model)))
    step.begin(*inputs(batch))
    step.predict(FULL)
    step.finish()
    assert not any(gradient.any() for gradient in step.gradients.values())


def test_frozen_parameters_get_no_gradient(model, batch):
    supernet = Supernet(copy.deepcopy(model))
    frozen = [f"{supernet.family.embeddings.word}.weight", f"{supernet.family.layer_paths(1, 'qkv')[-1]}.weight"]
    for name in frozen:
        supernet.model.get_parameter(name).requires_grad_(False)
    step = GradientStep(supernet)
    run(step, batch, STEPS["scattered width"])
    expected = reference_gradients(model, batch, STEPS["scattered width"])
    for name, parameter in supernet.model.named_parameters():
        if name in frozen:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, expected[name], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["whole", "prefixes", "scattered width"])
def test_bfloat16_is_close(model, batch, name):
    exact = reference_gradients(model, batch, STEPS[name])
    step = GradientStep(Supernet(copy.deepcopy(model)), torch.bfloat16)
    run(step, batch, STEPS[name])
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in step.supernet.model.parameters())
    got = torch.cat([step.gradients[name].flatten() for name in exact])
    expected = torch.cat([gradient.flatten() for gradient in exact.values()])
    assert (got - expected).norm() < 0.1 * expected.norm()
    assert (got - expected).norm() > 1e-5 * expected.norm()  # it was computed in bfloat16


def test_bfloat16_follows_the_weights(model, batch):
    """Its copies of the weights are made anew in each step."""
    step = GradientStep(Supernet(copy.deepcopy(model)), torch.bfloat16)
    step.begin(*inputs(batch))
    before = step.predict(FULL)
    with torch.no_grad():
        for parameter in step.supernet.model.parameters():
            parameter.mul_(1.5)
    step.begin(*inputs(batch))
    assert (step.predict(FULL) - before).abs().max() > 0.05


def test_dropout_is_drawn_from_the_seed(model, batch):
    supernet = Supernet(copy.deepcopy(model))
    step = GradientStep(supernet)
    step.begin(*inputs(batch))

    def logits(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return step.predict(FULL, supernet.dropout)

    assert supernet.dropout.embeddings > 0
    assert torch.equal(logits(1), logits(1))
    assert not torch.equal(logits(1), logits(2))
    assert not torch.equal(logits(1), step.predict(FULL))
