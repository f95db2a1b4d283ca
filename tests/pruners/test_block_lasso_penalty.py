"""The reweighted group Lasso: its value, its gradient, when it is reweighted, and that a killed training goes on."""

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.evaluation.model_error import model_outputs
from secateur.pruners.block_lasso.groups import cut
from secateur.pruners.block_lasso.penalty import GroupPenalty
from secateur.pruners.block_lasso.pruner import BlockLasso
from secateur.pruners.block_lasso.settings import BlockLassoSettings
from secateur.pruners.block_lasso.training import train_reweighted
from secateur.pruners.deepcuts import retrain_masked
from secateur.supernet import Supernet
from secateur.supernet.packed.packed import slab_linears
from secateur.supernet.packed.slabs import Slabs
from secateur.supernet.precision import resolve_precision
from secateur.supernet.training.finetuning import finetune
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

STRENGTH, EPSILON = 3.0, 1e-3
QUICK = BlockLassoSettings(
    learning_rate=2e-3, batch_size=8, epochs=2, retraining_epochs=1, least_steps=0, penalty=4, save_seconds=0
)


def two_weights():
    torch.manual_seed(0)
    weights = {"a": nn.Parameter(torch.randn(6, 8)), "b": nn.Parameter(0.01 * torch.randn(5, 9))}
    return weights, {"a": Slabs("row", (4, 4)), "b": Slabs("column", (3, 2))}


def step(weights):
    """Take an optimiser step that leaves the weights where they are."""
    torch.optim.SGD(weights.values(), lr=0.0).step()


def groups_of(weights, cuts):
    """Yield the weights of each group, found without the code under test."""
    for name, weight in weights.items():
        one = cuts[name]
        for line in weight if one.scheme == "row" else weight.T:
            yield from line.split(one.widths)


def test_its_value_and_gradient():
    weights, cuts = two_weights()
    penalty = GroupPenalty(weights, cuts, strength=STRENGTH, epsilon=EPSILON)
    groups = list(groups_of(weights, cuts))
    assert len(groups) == 6 * 2 + 9 * 2
    assert penalty.factor == STRENGTH / 30
    norms = [float(group.detach().norm()) for group in groups]
    assert penalty.value / penalty.factor == pytest.approx(sum(n / (n + EPSILON) for n in norms), rel=1e-5)
    assert penalty.value == pytest.approx(STRENGTH, rel=0.2)  # whatever the number of groups
    with penalty.added():
        sum(weight.sum() for weight in weights.values()).backward()  # a gradient of ones
        step(weights)
    added = {name: weight.grad - 1 for name, weight in weights.items()}
    for gradient, n in zip(groups_of(added, cuts), norms, strict=True):
        assert float(gradient.norm()) == pytest.approx(penalty.factor / (n + EPSILON), rel=1e-4)
    groups = list(groups_of(weights, cuts))
    explicit = penalty.factor * sum(group.norm() / (group.detach().norm() + EPSILON) for group in groups)
    expected = torch.autograd.grad(explicit, list(weights.values()))
    for gradient, own in zip(expected, added.values(), strict=True):
        torch.testing.assert_close(own, gradient, rtol=1e-4, atol=1e-6)


def test_between_renewals_weights_are_constants():
    weights, cuts = two_weights()
    penalty = GroupPenalty(weights, cuts, strength=STRENGTH, epsilon=EPSILON)
    before = [float(group.detach().norm()) for group in groups_of(weights, cuts)]
    with torch.no_grad():
        for weight in weights.values():
            weight.mul_(3)
    assert penalty.value == pytest.approx(penalty.factor * sum(3 * n / (n + EPSILON) for n in before), rel=1e-5)
    penalty.renew()
    assert penalty.value == pytest.approx(penalty.factor * sum(3 * n / (3 * n + EPSILON) for n in before), rel=1e-5)


def test_groups_that_are_zero_have_no_gradient():
    weights, cuts = two_weights()
    with torch.no_grad():
        weights["a"][2, :4] = 0
    penalty = GroupPenalty(weights, cuts, strength=STRENGTH, epsilon=EPSILON)
    with penalty.added():
        (weights["a"].sum() * 0).backward()
        step(weights)
    gradient = weights["a"].grad
    assert (gradient[2, :4] == 0).all()
    assert (gradient[2, 4:] != 0).all()
    weights["a"].grad = None
    weights["a"].sum().backward()
    step(weights)  # the hook is gone
    assert torch.equal(weights["a"].grad, torch.ones(6, 8))


def test_other_optimisers_have_no_penalty():
    weights, cuts = two_weights()
    other = nn.Parameter(torch.ones(3))
    other.sum().backward()
    sum(weight.sum() for weight in weights.values()).backward()
    with GroupPenalty(weights, cuts, strength=STRENGTH, epsilon=EPSILON).added():
        torch.optim.SGD([other], lr=0.0).step()
    assert torch.equal(other.grad, torch.ones(3))
    assert torch.equal(weights["a"].grad, torch.ones(6, 8))


def trained_with(penalty, **changes):
    """Train; return the model, what was reported, and each step's norm of the gradient before the penalty is added."""
    model, seen, norms = tiny_model("bert"), [], []
    settings = QUICK.model_copy(update={"penalty": penalty, **changes})

    def note(optimizer, *_):
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.stack([one.norm() for one in gradients]).norm()))

    handle = register_optimizer_step_pre_hook(note)  # before the penalty's, and called before it
    try:
        train_reweighted(model, CUTS, toy.toy_task(), settings, seed=0, report=seen.append)
    finally:
        handle.remove()
    return model, seen, norms


def test_the_losss_gradient_is_clipped_alone():
    """So huge a penalty, clipped with the loss, would leave nothing of the loss: here the first step has all of it."""
    with_penalty, without = trained_with(1e8)[2], trained_with(0.0)[2]
    assert 0 < without[0] <= 1 + 1e-5
    assert with_penalty[0] == pytest.approx(without[0], rel=1e-5)
    assert max(with_penalty) <= 1 + 1e-5


def test_a_penalty_of_zero_is_plain_fine_tuning():
    model, seen, _ = trained_with(0.0)
    plain = tiny_model("bert")
    finetune(plain, toy.toy_task(), QUICK, seed=0)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), plain.parameters(), strict=True))
    assert {one.numbers["penalty"] for one in seen} == {0.0}


def test_the_fine_tuned_model_teaches_both_trainings():
    task, supernet = toy.toy_task(), Supernet(tiny_model("bert"))
    settings = QUICK.model_copy(update={"distillation": True})
    models = [
        BlockLasso(one).prune(supernet, task, 0.6, np.random.default_rng(0)).model
        for one in (QUICK, settings, settings.model_copy(update={"retraining_epochs": 0.0}))
    ]
    plain, taught, before = models
    assert any(not torch.equal(a, b) for a, b in zip(plain.parameters(), taught.parameters(), strict=True))
    # By hand: both trainings, each with the whole model's outputs.
    dtype = resolve_precision("auto", supernet.device)
    teacher = model_outputs(supernet.model, task.train, pad_token_id=0, dtype=dtype)
    by_hand = tiny_model("bert")
    train_reweighted(by_hand, CUTS, task, settings, seed=seed_of(0), teacher=teacher)
    for path, linear in slab_linears(before).items():
        weight = linear.whole().detach()
        assert torch.equal(weight, torch.where(weight == 0, 0.0, by_hand.get_parameter(f"{path}.weight")))
    masks = {f"{path}.weight": one.whole() != 0 for path, one in slab_linears(before).items()}
    retrain_masked(by_hand, masks, task, settings.retraining, seed=seed_of(0), teacher=teacher)
    for path, linear in slab_linears(taught).items():
        torch.testing.assert_close(linear.whole(), by_hand.get_parameter(f"{path}.weight"))


def seed_of(seed):
    return int(np.random.default_rng(seed).integers(2**31))


def norms_after(penalty):
    model = tiny_model("bert")
    cuts = cut(model)
    settings = QUICK.model_copy(update={"penalty": penalty, "learning_rate": 8e-3, "epochs": 4})
    train_reweighted(model, cuts, toy.toy_task(), settings, seed=0)
    return torch.cat(
        [one.norms(model.get_parameter(f"{path}.weight")).flatten().detach() for path, one in cuts.items()]
    )


def test_groups_are_driven_apart():
    free, penalised = norms_after(0.0), norms_after(100.0)
    assert penalised.median() < 0.8 * free.median()
    assert penalised.quantile(0.1) / penalised.quantile(0.9) < 0.8 * free.quantile(0.1) / free.quantile(0.9)


def test_when_it_is_reweighted(tmp_path):
    """14 steps, four times: before the first, and after 4, 7 and 10 steps (halves go to the even number)."""
    train_reweighted(tiny_model("bert"), CUTS, toy.toy_task(), QUICK, seed=0, state=tmp_path)
    steps = sorted(int(path.stem.split("-")[1]) for path in tmp_path.glob("reweights-*"))
    assert steps == [0, 4, 7, 10]


CUTS = cut(tiny_model("bert"))


class Stop(Exception):
    pass


def killed_after(step, state):
    """Train in both phases until so many steps are done, each with a resume point; return what came before."""
    pruner, seen = BlockLasso(QUICK, state=state), []

    def report(progress):
        seen.append(progress.done)
        if len(seen) == step:
            raise Stop

    pruner.report = report
    with pytest.raises(Stop):
        pruner.prune(Supernet(tiny_model("bert")), toy.toy_task(), 0.4, np.random.default_rng(0))
    return seen


def test_a_training_that_was_killed_goes_on(tmp_path):
    whole = BlockLasso(QUICK).prune(Supernet(tiny_model("bert")), toy.toy_task(), 0.4, np.random.default_rng(0))
    for step in (8, 14, 17):  # right after a renewal, at the end, in the retraining
        state = tmp_path / str(step)
        killed_after(step, state)
        seen = []
        pruner = BlockLasso(QUICK, state=state, report=lambda progress, seen=seen: seen.append(progress.done))
        resumed = pruner.prune(Supernet(tiny_model("bert")), toy.toy_task(), 0.4, np.random.default_rng(0))
        assert len(seen) == 21 - step + 1  # the step under way again, no other
        pairs = zip(whole.model.parameters(), resumed.model.parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs), step


def test_densities_share_the_training_under_the_penalty(tmp_path):
    seen, supernet, task = [], Supernet(tiny_model("bert")), toy.toy_task()
    pruner = BlockLasso(QUICK, state=tmp_path, report=lambda progress: seen.append(progress.note[:7]))
    first = pruner.prune(supernet, task, 0.6, np.random.default_rng(0))
    second = pruner.prune(supernet, task, 0.3, np.random.default_rng(0))
    assert seen.count("penalty") == 14
    assert first.provenance.epochs == second.provenance.epochs == 3
    alone = BlockLasso(QUICK).prune(supernet, task, 0.3, np.random.default_rng(0))
    assert all(torch.equal(a, b) for a, b in zip(alone.model.parameters(), second.model.parameters(), strict=True))
    again = BlockLasso(QUICK, state=tmp_path, report=lambda progress: seen.append(progress.note[:7]))
    again.prune(supernet, task, 0.3, np.random.default_rng(0))  # from what the folder has
    assert seen.count("penalty") == 14


def test_damaged_resume_points(tmp_path):
    killed_after(7, tmp_path)
    for path in (tmp_path / "reweighting").glob("reweights-*"):
        path.write_bytes(b"no")
    pruner = BlockLasso(QUICK, state=tmp_path)
    with pytest.raises(InputError, match=r"cannot be read .*; delete that folder and the training starts again"):
        pruner.prune(Supernet(tiny_model("bert")), toy.toy_task(), 0.4, np.random.default_rng(0))
    (tmp_path / "reweighted.safetensors").write_bytes(b"no")
    with pytest.raises(InputError, match=r"reweighted\.safetensors cannot be read"):
        pruner.prune(Supernet(tiny_model("bert")), toy.toy_task(), 0.4, np.random.default_rng(0))
