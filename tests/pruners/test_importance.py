"""Scores of heads and neurons against what they are by definition."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from secateur.errors import InputError
from secateur.pruners.importance import IMPORTANCES, Cam, Fisher, Gradient, Smooth, score_together
from secateur.pruners.importance.backward import BackwardPass, Recipe, backward_passes, linear_paths
from secateur.pruners.importance.units import sum_over_units
from secateur.supernet import Supernet
from secateur.supernet.gates import gated, run_whole
from secateur.tasks.batches import Batch, collate
from secateur.tests.supernet.toy import toy_task

FEW = Recipe(texts=12, batch_size=5)
WITH_WEIGHTS = Recipe(texts=12, batch_size=5, weights=True)


@pytest.fixture(scope="module")
def task():
    return toy_task()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def drawn_batch(task, texts: int) -> Batch:
    """Return the batch that an importance sees which asks for so many texts in one batch."""
    rows = rng().choice(len(task.train), texts, replace=False)
    return collate(task.train, rows[np.argsort(task.train.lengths[rows], kind="stable")], task.pad_token_id)


def test_the_gradient_of_a_factor_is_each_texts_own(model, task):
    """Against differences of each text's loss, by itself, when one factor is moved."""
    supernet = Supernet(copy.deepcopy(model).double())
    (seen,) = backward_passes(supernet, task, rng(), Recipe(texts=3, batch_size=3))
    batch = drawn_batch(task, 3)

    @torch.no_grad()
    def losses(heads: torch.Tensor, neurons: torch.Tensor) -> torch.Tensor:
        with gated(supernet, heads, neurons):
            logits = run_whole(supernet, batch.inputs)
        return torch.nn.functional.cross_entropy(logits, batch.labels, reduction="none")

    def ones(units: int) -> torch.Tensor:
        return torch.ones(3, units, dtype=torch.double)

    def moved(units: int, place: tuple[int, int], by: float) -> torch.Tensor:
        factors = ones(units)
        factors[place] += by
        return factors

    # transformers turns ModernBERT's queries and keys in single precision, whatever the model's.
    single = model.config.model_type == "modernbert"
    step, close = (1e-2, {"atol": 1e-4, "rtol": 1e-2}) if single else (1e-5, {"atol": 1e-5, "rtol": 1e-4})
    for place in ((0, 1), (1, 3), (2, 0)):
        slope = (losses(moved(4, place, step), ones(24)) - losses(moved(4, place, -step), ones(24))) / (2 * step)
        torch.testing.assert_close(seen.heads[:, *place].double(), slope, **close)
        slope = (losses(ones(4), moved(24, place, step)) - losses(ones(4), moved(24, place, -step))) / (2 * step)
        torch.testing.assert_close(seen.neurons[:, *place].double(), slope, **close)


def test_weights_times_their_gradients_add_up_to_the_factors_gradient(model, task):
    """Cam at a unit is the gradient of its factor: the sum over its outgoing weights of W * grad W."""
    supernet = Supernet(model)
    for seen in backward_passes(supernet, task, rng(), WITH_WEIGHTS):
        for layer in range(3):
            for part, factors in (("attention_output", seen.heads), ("ffn_out", seen.neurons)):
                name = f"{supernet.family.layer_path(layer, part)}.weight"
                columns = (supernet.parameters[name].detach() * seen.weights[name]).sum(0)
                units = columns.view(factors.shape[2], -1).sum(1)
                torch.testing.assert_close(units, factors.mean(0)[layer], atol=1e-5, rtol=1e-4)


def test_sums_over_units_count_each_weight_of_a_unit_once(model):
    supernet = Supernet(model)
    heads, neurons = sum_over_units(supernet, lambda path, kind: torch.ones_like(supernet.parameters[f"{path}.{kind}"]))
    shape = supernet.shape
    assert heads.unique().tolist() == [4 * 16 * 4 + shape.attention_biases * 3 * 4]  # four matrices, three biases
    into = 1 + shape.gated
    assert neurons.unique().tolist() == [(into + 1) * 16 + shape.ffn_in_biases * into]


@pytest.mark.parametrize("importance", [Gradient(), Fisher()])
def test_a_head_weighs_as_much_as_the_neurons_that_do_what_it_does(tiny_models, importance):
    """Neurons with derivatives of their own, and a head with their sum: a text's loss changes as much either way."""
    neurons = torch.randn(4000, 1, 64, generator=torch.Generator().manual_seed(0))
    seen = BackwardPass(neurons.sum(2, keepdim=True), neurons)
    of_head, of_neurons = map(importance.of_sums, importance.of_batch(Supernet(tiny_models["bert"]), seen))
    assert float(of_head.sum()) == pytest.approx(float(of_neurons.sum()), rel=0.1)


def test_fisher_of_single_texts_does_not_depend_on_the_batches(tiny_models, task):
    supernet = Supernet(tiny_models["bert"])
    alone, five, twelve = (
        Fisher(recipe=Recipe(texts=12, batch_size=size))(supernet, task, rng()) for size in (1, 5, 12)
    )
    np.testing.assert_allclose(five.neurons, alone.neurons, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(twelve.heads, alone.heads, rtol=1e-3, atol=1e-9)
    batches = [Fisher(Recipe(texts=12, batch_size=size), per="batch")(supernet, task, rng()) for size in (3, 12)]
    assert not np.allclose(batches[0].neurons * 3**2 / 12**2, batches[1].neurons, rtol=1e-2)
    assert not np.allclose(batches[0].neurons, batches[1].neurons, rtol=1e-2)


def test_fisher_of_batches_of_one_is_that_of_texts(tiny_models, task):
    supernet = Supernet(tiny_models["bert"])
    one = Recipe(texts=6, batch_size=1)
    texts, batches = (Fisher(one, per=per)(supernet, task, rng()) for per in ("text", "batch"))
    np.testing.assert_allclose(texts.neurons, batches.neurons)


def test_without_noise_smooth_cut_is_snip(model, task):
    supernet = Supernet(model)
    quiet = Smooth(Recipe(texts=12, batch_size=5, weights=True, noise=0.0))(supernet, task, rng())
    faint = Smooth(Recipe(texts=12, batch_size=5, weights=True, noise=1e-7, repeats=2))(supernet, task, rng())
    snip = [torch.zeros(3, 4), torch.zeros(3, 24)]
    for seen in backward_passes(supernet, task, rng(), WITH_WEIGHTS):
        parts = sum_over_units(
            supernet, lambda p, k, s=seen: (supernet.parameters[f"{p}.{k}"] * s.weights[f"{p}.{k}"]).abs().detach()
        )
        snip = [a + b for a, b in zip(snip, parts)]
    for scores in (quiet, faint):
        np.testing.assert_allclose(scores.heads, snip[0], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(scores.neurons, snip[1], rtol=1e-3, atol=1e-6)
    loud = Smooth(Recipe(texts=12, batch_size=5, weights=True, noise=1.0, repeats=2))(supernet, task, rng())
    assert not np.allclose(loud.heads, quiet.heads, rtol=0.05)


def test_a_large_shift_makes_cam_cut_rank_as_snip(model, task):
    supernet = Supernet(model)
    snip = Smooth(Recipe(texts=12, batch_size=5, weights=True))(supernet, task, rng())
    plain, shifted, far = (Cam(WITH_WEIGHTS, shift=shift)(supernet, task, rng()) for shift in (0.0, 10.0, 1e4))
    assert np.array_equal(far.neuron_order, snip.neuron_order)
    assert np.array_equal(far.head_order, snip.head_order)
    near, middle = (spearmanr(scores.neurons.ravel(), snip.neurons.ravel()).statistic for scores in (plain, shifted))
    assert near < middle


@torch.no_grad()
def test_mean_outputs_leave_padding_out_unless_asked(tiny_models, task):
    supernet = Supernet(tiny_models["bert"])
    path, batch = linear_paths(supernet)[0], drawn_batch(task, 12)
    outputs: list[torch.Tensor] = []
    handle = supernet.model.get_submodule(path).register_forward_hook(lambda m, i, output: outputs.append(output))
    run_whole(supernet, batch.inputs)
    handle.remove()
    for padding, expected in ((False, outputs[0][batch.real].mean(0)), (True, outputs[0].mean((0, 1)))):
        recipe = Recipe(texts=12, batch_size=12, weights=True, padding=padding)
        (seen,) = backward_passes(supernet, task, rng(), recipe)
        torch.testing.assert_close(seen.outputs[path], expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(outputs[0][batch.real].mean(0), outputs[0].mean((0, 1)), atol=1e-3)


@pytest.mark.parametrize("name", IMPORTANCES)
def test_every_importance_scores_every_family_alike_from_the_same_seed(name, model, task):
    supernet = Supernet(model)
    before = {key: p.detach().clone() for key, p in supernet.parameters.items()}
    scores = IMPORTANCES[name](supernet, task, rng(3))
    again = IMPORTANCES[name](supernet, task, rng(3))
    assert scores.heads.shape == (3, 4)
    assert scores.neurons.shape == (3, 24)
    assert np.array_equal(scores.heads, again.heads)
    assert np.array_equal(scores.neurons, again.neurons)
    assert (scores.heads >= 0).all()
    assert (scores.neurons >= 0).all()
    assert np.ptp(scores.neurons) > 0
    assert all(torch.equal(p, before[key]) and p.grad is None for key, p in supernet.parameters.items())
    assert all(p.requires_grad for p in supernet.parameters.values())


def test_scores_that_share_a_pass_are_those_of_their_own(tiny_models, task):
    supernet = Supernet(tiny_models["roberta"])
    few = {
        "gradient": Gradient(FEW),
        "fisher": Fisher(FEW),
        "cam": Cam(WITH_WEIGHTS),
        "magnitude": IMPORTANCES["magnitude"],
    }
    together = score_together(supernet, task, rng(), few)
    assert list(together) == list(few)
    for name, importance in few.items():
        np.testing.assert_allclose(together[name].neurons, importance(supernet, task, rng()).neurons, rtol=1e-6)


def test_a_unit_that_does_nothing_has_no_gradient(tiny_models, task):
    model = copy.deepcopy(tiny_models["bert"])
    supernet = Supernet(model)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight[:, 5] = 0.0
    scores = score_together(supernet, task, rng(), {"gradient": Gradient(FEW), "fisher": Fisher(FEW)})
    assert scores["gradient"].neurons[1, 5] == scores["fisher"].neurons[1, 5] == 0.0
    assert (scores["gradient"].neurons > 0).sum() == 71


def test_no_texts_are_refused(tiny_models, task):
    with pytest.raises(InputError, match="at least 1 text"):
        Gradient(Recipe(texts=0))(Supernet(tiny_models["bert"]), task, rng())
