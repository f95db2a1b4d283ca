"""Scales are checked against the Hugging Face model itself, run with factors on its units."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch
from secateur.pruners.calibration import calibration_batches
from secateur.pruners.scales import UnitScales, extract_scaled, fit_scales
from secateur.search_space import EncoderShape, SubnetMask
from secateur.supernet import Supernet
from secateur.supernet.gates import gated, run_whole, watched
from secateur.supernet.heads import head_of
from secateur.tests.supernet.toy import toy_task
from secateur.tests.tiny import tiny_model

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)
DAMPING = 0.05


def random_mask(rng: np.random.Generator, share: float) -> SubnetMask:
    heads, neurons = rng.random((3, 4)) < share, rng.random((3, 24)) < share
    heads[np.arange(3), rng.integers(4, size=3)] = True
    neurons[np.arange(3), rng.integers(24, size=3)] = True
    return SubnetMask(heads, neurons, np.ones(16, bool))


def texts(supernet: Supernet, count: int = 40, batch_size: int = 8):
    return list(calibration_batches(supernet, toy_task(), count, np.random.default_rng(0), batch_size=batch_size))


@contextmanager
def with_factors(supernet: Supernet, mask: SubnetMask, scales: UnitScales):
    heads, neurons = torch.from_numpy(mask.heads * scales.heads), torch.from_numpy(mask.neurons * scales.neurons)
    with gated(supernet, heads, neurons), torch.no_grad():
        yield


def ones() -> UnitScales:
    return UnitScales(np.ones((3, 4)), np.ones((3, 24)))


@pytest.mark.parametrize("seed", [0, 1])
def test_extracted_with_scales_as_gated(model, batch, seed):
    supernet, rng = Supernet(model), np.random.default_rng(seed)
    mask = random_mask(rng, 0.5)
    scales = UnitScales(rng.normal(1, 1, (3, 4)), rng.normal(1, 1, (3, 24)))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    extracted = extract_scaled(supernet, mask, scales)
    with with_factors(supernet, mask, scales):
        expected = run_whole(supernet, batch)
    with torch.no_grad():
        torch.testing.assert_close(extracted(**batch).logits, expected, atol=1e-5, rtol=1e-5)
    assert not extracted.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_dropped_blocks_need_no_scales(tiny_models, batch):
    supernet = Supernet(tiny_models["bert"])
    mask = SubnetMask.from_counts(SHAPE, [3, 0, 0], [24, 0, 5])
    doubled = extract_scaled(supernet, mask, UnitScales(np.ones((3, 4)), np.full((3, 24), 2.0)))
    plain = extract_scaled(supernet, mask, ones())
    path = supernet.family.layer_path(1, "ffn_out")  # of the third layer: the second is gone
    torch.testing.assert_close(doubled.get_parameter(f"{path}.weight"), 2 * plain.get_parameter(f"{path}.weight"))


def test_a_student_that_is_its_own_teacher_is_left_alone(model):
    supernet = Supernet(model)
    for mask in (SubnetMask.full(SHAPE), random_mask(np.random.default_rng(0), 0.5)):
        scales = fit_scales(supernet, texts(supernet), mask, mask)
        assert (scales.heads == 1).all()
        assert (scales.neurons == 1).all()


class Seen:
    """What a run of the whole model showed of one block: sums before LayerNorm, and units' contributions to them."""

    def __init__(self, supernet: Supernet, layer: int, kind: str, mask: SubnetMask, scales: UnitScales) -> None:
        family = supernet.family
        part = "attention_output" if kind == "attention" else "ffn_out"
        weight = supernet.parameters[f"{supernet.family.layer_path(layer, part)}.weight"].detach()
        kept = np.flatnonzero((mask.heads if kind == "attention" else mask.neurons)[layer])
        sums, flows, read = [], [], []
        first_only = layer == 2 and head_of(supernet.model) == "sequence-classification"

        def note(this: int, flow: torch.Tensor) -> None:
            if this == layer:
                flows.append(flow.flatten(0, 1))

        if family.pre_norm:  # the stream behind the block
            behind = (layer, "ffn") if kind == "attention" else (layer + 1, "attention")
            path = family.final_norm if behind[0] == 3 else family.layer_path(behind[0], f"{behind[1]}_norm")
        else:
            path = family.layer_path(layer, f"{kind}_norm")
        norm = supernet.model.get_submodule(path)
        handle = norm.register_forward_pre_hook(lambda module, inputs: sums.append(inputs[0].flatten(0, 1)))
        for batch in texts(supernet):
            rows = batch.real
            read.append((rows & (torch.arange(rows.shape[1]) == 0) if first_only else rows).flatten())
            # Watched from outside the factors: what is seen has not met them.
            watching = watched(supernet, **{"heads" if kind == "attention" else "neurons": note})
            with watching, with_factors(supernet, mask, scales):
                run_whole(supernet, batch.inputs)
        handle.remove()
        single = torch.cat(flows)[torch.cat(read)][:, None, :] * weight
        single = single.view(*single.shape[:2], 4 if kind == "attention" else 24, -1).sum(-1)
        self.sum = torch.cat(sums)[torch.cat(read)].double().numpy()  # (tokens, D)
        self.single = single[..., kept].double().numpy()  # (tokens, D, units)


def test_each_block_comes_as_close_to_the_teacher_as_damped_scales_can(headed):
    supernet, rng = Supernet(headed), np.random.default_rng(1)
    teacher, mask = random_mask(rng, 0.9), random_mask(rng, 0.5)
    scales = fit_scales(supernet, texts(supernet), mask, teacher, damping=DAMPING)
    so_far, improved = ones(), 0
    for layer in range(3):
        for kind, kept in (("attention", mask.heads[layer]), ("ffn", mask.neurons[layer])):
            student, target = Seen(supernet, layer, kind, mask, so_far), Seen(supernet, layer, kind, teacher, ones())
            missing = (target.sum - student.sum).ravel()
            design = student.single.reshape(-1, kept.sum())
            found = (scales.heads if kind == "attention" else scales.neurons)[layer]
            assert (found[~kept] == 1).all()
            if (layer, kind) == (0, "attention"):
                assert (found == 1).all()
                continue
            weight = np.sqrt(DAMPING * np.square(design).sum() / kept.sum())
            augmented = np.vstack([design, weight * np.eye(kept.sum())])
            expected, *_ = np.linalg.lstsq(augmented, np.concatenate([missing, np.zeros(kept.sum())]))
            if np.abs(1 + expected).max() > 10:  # not to be trusted
                expected = np.zeros(kept.sum())
            assert found[kept] - 1 == pytest.approx(expected, abs=2e-4)
            where = so_far.heads if kind == "attention" else so_far.neurons
            where[layer] = found
            left = np.square(target.sum - Seen(supernet, layer, kind, mask, so_far).sum).sum()
            assert left <= np.square(missing).sum() * (1 + 1e-6)
            improved += left < 0.95 * np.square(missing).sum()
    assert improved >= 2


def test_padding_does_not_matter(model):
    supernet, rng = Supernet(model), np.random.default_rng(2)
    mask, teacher = random_mask(rng, 0.5), SubnetMask.full(SHAPE)
    padded = fit_scales(supernet, texts(supernet, 20, 20), mask, teacher)
    alone = fit_scales(supernet, texts(supernet, 20, 1), mask, teacher)
    assert padded.neurons == pytest.approx(alone.neurons, abs=1e-3)
    assert padded.heads == pytest.approx(alone.heads, abs=1e-3)
    assert (padded.neurons != 1).any()


@pytest.mark.parametrize(("ratio", "trusted"), [(0.2, True), (0.05, False)])
def test_a_block_whose_scales_explode_is_left_alone(ratio, trusted):
    supernet = Supernet(tiny_model("bert"))
    (into,), out_of = supernet.family.layer_paths(0, "ffn_in"), supernet.family.layer_path(0, "ffn_out")
    with torch.no_grad():  # neuron 0 is neuron 1, but fainter
        for name in (f"{into}.weight", f"{into}.bias"):
            supernet.parameters[name][0] = supernet.parameters[name][1]
        weight = supernet.parameters[f"{out_of}.weight"]
        weight[:, 0] = ratio * weight[:, 1]
    neurons = np.ones((3, 24), bool)
    neurons[0] = False
    mask, teacher = neurons.copy(), neurons.copy()
    mask[0, 0], teacher[0, 1] = True, True
    full = SubnetMask.full(SHAPE)
    student, target = (SubnetMask(full.heads, chosen, full.hidden) for chosen in (mask, teacher))
    scales = fit_scales(supernet, texts(supernet), student, target, damping=0.1)
    # One unit: the scale less 1 is (1 - ratio) / ratio, damped.
    assert scales.neurons[0, 0] == pytest.approx(1 + (1 - ratio) / ratio / 1.1 if trusted else 1.0, rel=1e-4)
    # A block that cannot be scaled does not end it: what it leaves undone, later ones try to make up for.
    assert trusted or (scales.neurons[1] != 1).all()


def test_a_diverged_model_is_left_alone():
    supernet = Supernet(tiny_model("bert"))
    with torch.no_grad():
        supernet.parameters[f"{supernet.family.layer_paths(1, 'ffn_in')[0]}.bias"][0] = float("inf")
    scales = fit_scales(supernet, texts(supernet), random_mask(np.random.default_rng(0), 0.9), SubnetMask.full(SHAPE))
    assert np.isfinite(scales.neurons).all()
    assert (scales.neurons[1:] == 1).all()


def test_a_dropped_block_cannot_be_scaled(tiny_models):
    supernet = Supernet(tiny_models["bert"])
    mask = SubnetMask.from_counts(SHAPE, [1, 0, 1], [1, 1, 1])
    with pytest.raises(ValueError, match=r"scales need a unit in every block .*heads=\[1, 0, 1\]"):
        fit_scales(supernet, texts(supernet), mask, SubnetMask.full(SHAPE))


def test_labels_are_not_looked_at(tiny_models):
    supernet, rng = Supernet(tiny_models["bert"]), np.random.default_rng(3)
    mask, batches = random_mask(rng, 0.5), texts(Supernet(tiny_models["bert"]))
    other = [replace(batch, labels=torch.full_like(batch.labels, -7)) for batch in batches]
    first, second = (fit_scales(supernet, some, mask, SubnetMask.full(SHAPE)) for some in (batches, other))
    assert (first.neurons == second.neurons).all()
    assert (first.heads == second.heads).all()
