"""KCM's ranking against the specification's closed forms and reference values."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from secateur.pruners.importance import R2D2
from secateur.pruners.importance.r2d2 import updated
from secateur.supernet import Supernet
from secateur.tests.supernet.toy import toy_task

THREE = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.double)  # the filters of the reference values


def kernel(filters: torch.Tensor) -> torch.Tensor:
    return torch.exp(-torch.cdist(filters, filters).square())


def filters(seed: int, n: int = 20, d: int = 5) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def test_the_first_iterations_are_the_reference_ones():
    c = torch.full((3, 3), 1 / 3, dtype=torch.double)
    expected = (
        ((0.493624, 0.490374, 0.572100), 2.308551),
        ((0.635656, 0.632052, 0.755570), 2.614679),
        ((0.743200, 0.740193, 0.868899), 2.845676),
    )
    for diagonal, total in expected:
        c = updated(kernel(THREE), c)
        np.testing.assert_allclose(c.diagonal(), diagonal, atol=1e-6)
        assert float(c.sum()) == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("iterations", [1, 2, 3])
def test_the_ranking_reads_the_diagonal(iterations):
    c = torch.full((3, 3), 1 / 3, dtype=torch.double)
    for _ in range(iterations):
        c = updated(kernel(THREE), c)
    score = R2D2(iterations=iterations, tolerance=0.0).representation(THREE)
    torch.testing.assert_close(score, c.diagonal())


def test_the_first_iterate_has_a_closed_form():
    own = filters(0)
    mean = kernel(own).mean(0)
    score = R2D2(iterations=1).representation(own)
    torch.testing.assert_close(score, mean.rsqrt() / len(own))


def test_the_signed_rule_would_end_at_once_and_ours_does_not():
    """The first update always lowers the sum of C for filters like a block's, so a signed change is below any alpha."""
    own = torch.nn.functional.normalize(filters(1, 60, 30), dim=1) * 1.1
    start = torch.full((60, 60), 1 / 60, dtype=torch.double)
    first = updated(kernel(own), start)
    assert float(first.sum() - start.sum()) < 0
    once = R2D2(iterations=1).representation(own)
    for change in ("elements", "total"):
        assert not torch.allclose(R2D2(change=change).representation(own), once, rtol=1e-2)


@pytest.mark.parametrize("change", ["elements", "total"])
def test_it_ends_where_the_change_is_within_the_tolerance(change):
    own = filters(2)
    c, steps = torch.full((20, 20), 1 / 20, dtype=torch.double), 0
    while True:
        following, steps = updated(kernel(own), c), steps + 1
        moved = (following - c).abs().sum() if change == "elements" else (following.sum() - c.sum()).abs()
        c, ended = following, float(moved / c.sum()) <= 0.01
        if ended:
            break
    torch.testing.assert_close(R2D2(change=change).representation(own), c.diagonal())
    assert 1 < steps < 100


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_invariants_of_the_iteration(seed, n):
    own = filters(seed, n)
    k = kernel(own)
    assert torch.equal(k, k.T)
    assert float(k.min()) >= 0
    assert float(k.max()) <= 1
    c = torch.full_like(k, 1 / n)
    loss = [float(torch.trace(k - 2 * k @ c + c.T @ k @ c))]
    for _ in range(8):
        c = updated(k, c)
        assert float(c.min()) >= 0
        loss.append(float(torch.trace(k - 2 * k @ c + c.T @ k @ c)))
    assert (np.diff(loss) <= 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_permuted_filters_have_permuted_scores(seed):
    own = filters(seed)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    ranking = R2D2(iterations=5)
    torch.testing.assert_close(ranking.representation(own[order]), ranking.representation(own)[order])


def test_a_narrow_kernel_leaves_each_filter_to_itself_and_a_wide_one_to_all():
    own = filters(3)
    alone = R2D2(sigma=1e-3, tolerance=1e-9, iterations=200).representation(own)
    torch.testing.assert_close(alone, torch.ones_like(alone), atol=1e-5, rtol=0)
    together = R2D2(sigma=1e6).representation(own)
    torch.testing.assert_close(together, torch.full_like(together, 1 / 20), atol=1e-6, rtol=0)


def test_twins_share_their_weight():
    """Two identical filters, far from all others: half each is a fixed point, and what the iteration comes to."""
    own = torch.tensor([[0.0, 0.0], [0.0, 0.0], [50.0, 0.0]], dtype=torch.double)
    fixed = torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=torch.double)
    torch.testing.assert_close(updated(kernel(own), fixed), fixed)
    score = R2D2(tolerance=1e-9, iterations=500).representation(own)
    torch.testing.assert_close(score, torch.tensor([0.5, 0.5, 1.0], dtype=torch.double), atol=1e-4, rtol=0)


def test_filters_without_relations_are_ranked_by_their_norm():
    """Random filters, as long as a block's usually are: closed form, end of the iteration and norm agree."""
    own = filters(4, 400, 768) * 1.1 / np.sqrt(768)
    first, last = R2D2(iterations=1).representation(own), R2D2().representation(own)
    assert spearmanr(first, last).statistic > 0.999
    assert spearmanr(last, own.norm(dim=1)).statistic > 0.99


def test_kernels_and_widths_are_what_their_names_say():
    own = filters(5)
    full = R2D2(iterations=1, sigma=2.0).representation(own)
    half = R2D2(iterations=1, sigma=2.0 / np.sqrt(2.0), kernel="half").representation(own)
    torch.testing.assert_close(full, half)
    apart = torch.pdist(own)
    median = R2D2(iterations=1, sigma=float(apart.median())).representation(own)
    torch.testing.assert_close(R2D2(iterations=1, sigma="median").representation(own), median)


@pytest.fixture(scope="module")
def task():
    return toy_task()


def scored(ranking: R2D2, model, task):
    return ranking(Supernet(model), task, np.random.default_rng(0))


def test_data_scores_are_the_activations_of_real_tokens(tiny_models, task):
    model = tiny_models["bert"]
    rows = np.random.default_rng(0).choice(len(task.train), 50, replace=False)
    flows: list[torch.Tensor] = []
    place = model.bert.encoder.layer[1].output.dense
    handle = place.register_forward_pre_hook(lambda m, inputs: flows.append(inputs[0][0]))
    with torch.no_grad():
        for row in rows:  # one at a time: nothing is padded
            model(input_ids=torch.from_numpy(task.train.input_ids[row].astype(np.int64))[None])
    handle.remove()
    tokens = torch.cat(flows)
    for activity, expected in (
        ("absolute", tokens.abs().mean(0)),
        ("rms", tokens.square().mean(0).sqrt()),
        ("signed", tokens.mean(0)),
    ):
        scores = scored(R2D2(texts=50, representative=False, activity=activity), model, task)
        np.testing.assert_allclose(scores.neurons[1], expected / expected.norm(), rtol=1e-4, atol=1e-6)


def test_heads_are_scored_by_what_they_add(tiny_models, task):
    model = tiny_models["roberta"]
    place = model.roberta.encoder.layer[0].attention.output.dense
    added: list[torch.Tensor] = []

    def note(module, inputs):
        split = inputs[0].view(-1, 4, 4)
        parts = torch.einsum("thi,dhi->thd", split, module.weight.view(16, 4, 4))
        added.append(parts.square().sum(2))

    handle = place.register_forward_pre_hook(note)
    rows = np.random.default_rng(0).choice(len(task.train), 50, replace=False)
    with torch.no_grad():
        for row in rows:
            model(input_ids=torch.from_numpy(task.train.input_ids[row].astype(np.int64))[None])
    handle.remove()
    expected = torch.cat(added).mean(0).sqrt()
    scores = scored(R2D2(texts=50), model, task)
    np.testing.assert_allclose(scores.heads[0], expected / expected.norm(), rtol=1e-4)


def test_a_layers_scale_does_not_matter_to_the_data_score(tiny_models, task):
    """All of a block's inputs and biases scaled up: GELU of large numbers is nearly linear in the scale."""
    model = copy.deepcopy(tiny_models["bert"])
    block = model.bert.encoder.layer[2].intermediate.dense
    with torch.no_grad():
        block.weight *= 1e3
        block.bias *= 1e3
    small = scored(R2D2(representative=False), model, task).neurons[2]
    with torch.no_grad():
        block.weight *= 10
        block.bias *= 10
    np.testing.assert_allclose(scored(R2D2(representative=False), model, task).neurons[2], small, rtol=1e-3)
    assert np.linalg.norm(small) == pytest.approx(1.0)


def test_the_two_factors_are_multiplied(tiny_models, task):
    model = tiny_models["bert"]
    both = scored(R2D2(), model, task).neurons
    driven = scored(R2D2(representative=False), model, task).neurons
    representative = scored(R2D2(driven=False), model, task).neurons
    np.testing.assert_allclose(both, driven * representative, rtol=1e-5)
    weight = model.bert.encoder.layer[0].output.dense.weight.detach()
    np.testing.assert_allclose(representative[0], R2D2().representation(weight.T.float()), rtol=1e-5)
