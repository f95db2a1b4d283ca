"""Scores and choices of single weights."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.pruners.elements import (
    STRATEGIES,
    ElementScores,
    jaccard,
    kept_elements,
    kept_fraction,
    kept_fraction_of,
    prunable_names,
    share_kept,
)
from secateur.pruners.importance.backward import Recipe
from secateur.supernet.supernet import Supernet
from secateur.tests.supernet import toy
from secateur.tests.tiny import tiny_model
from transformers import BertConfig, BertForSequenceClassification

RECIPE = Recipe(texts=24, batch_size=24, weights=True, head=True)


def scores_of(model, scoring, task=None, seed=0):
    return scoring(Supernet(model), task or toy.toy_task(24), np.random.default_rng(seed))


# Which share is kept


def test_the_shares_of_bert_base():
    with torch.device("meta"):
        supernet = Supernet(BertForSequenceClassification(BertConfig(num_labels=2)))
    prunable = sum(supernet.parameters[name].numel() for name in prunable_names(supernet))
    assert (prunable, sum(p.numel() for p in supernet.parameters.values())) == (85_608_192, 109_483_778)
    shares = [round(kept_fraction_of(supernet, c), 4) for c in (2, 3, 3.5, 4)]
    assert shares == [0.3606, 0.1474, 0.0865, 0.0408]
    assert 0 < kept_fraction_of(supernet, 4.585) < 0.001
    with pytest.raises(
        InputError, match=r"at least 1 and below 4\.585, for 23,875,586 of its 109,483,778 .* got 4\.6$"
    ):
        kept_fraction_of(supernet, 4.6)


@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(1, 1e6))
def test_what_is_kept_gives_the_compression(fixed, prunable, compression):
    parameters = fixed + prunable
    if compression >= parameters / fixed:
        with pytest.raises(InputError):
            kept_fraction(compression, parameters, prunable)
    else:
        fraction = kept_fraction(compression, parameters, prunable)
        assert -1e-9 <= fraction <= 1
        assert parameters / (fixed + fraction * prunable) == pytest.approx(compression, rel=1e-6)


def test_a_compression_below_1():
    with pytest.raises(InputError, match=r"at least 1 and below 2, .* got 0\.5"):
        kept_fraction(0.5, 10, 5)


def test_what_may_be_removed(model):
    names = prunable_names(Supernet(model))
    linear = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    biased = [name for name in linear if model.get_submodule(name).bias is not None and "embeddings" not in name]
    maps = [name for name in linear if "embeddings" not in name]
    assert len(names) == len(set(names)) == len(maps) + len(biased) - 2  # all but the classifier's two
    left = linear - {name.rpartition(".")[0] for name in names}
    assert len([name for name in left if "embeddings" not in name]) == 1
    classifier = model.get_submodule(next(name for name in left if "embeddings" not in name))
    assert classifier.out_features == 3


# Which are kept


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(0, 100), st.booleans())
def test_each_tensor_keeps_its_highest_scores(values, percent, distinct):
    values = np.random.default_rng(len(values)).permutation(len(values)) if distinct else np.array(values)
    fraction, score = percent / 100, torch.tensor(values, dtype=torch.float64)
    kept = kept_elements({"a": score, "b": 1e6 + score[:1]}, fraction)
    chosen, rest = score[kept["a"]], score[~kept["a"]]
    assert len(chosen) == len(values) * percent // 100
    assert not len(chosen) or not len(rest) or chosen.min() >= rest.max()
    assert int(kept["b"].sum()) == percent // 100  # however high its scores
    if distinct and 0 < percent < 100:
        threshold = np.quantile(values, 1 - fraction, method="inverted_cdf")
        expected = int((values > threshold).sum())
        assert len(chosen) in (expected, expected + 1)  # 1 - fraction is rounded


def test_of_equal_scores_the_first():
    kept = kept_elements({"a": torch.tensor([[1.0, 2.0, 1.0], [1.0, 0.0, 1.0]])}, 0.5)["a"]
    assert kept.tolist() == [[True, True, True], [False, False, False]]


def test_the_share_that_is_kept():
    kept = kept_elements({"a": torch.rand(10, 10), "b": torch.rand(10)}, 0.25)
    assert share_kept(kept) == pytest.approx((25 + 2) / 110)


CHOICES = st.lists(st.booleans(), min_size=6, max_size=6)


@given(CHOICES, CHOICES)
def test_overlap(left, right):
    def elements(chosen):
        return {"a": torch.tensor(chosen[:4]).view(2, 2), "b": torch.tensor(chosen[4:])}

    kept_left, kept_right = ({i for i, keep in enumerate(one) if keep} for one in (left, right))
    union = kept_left | kept_right
    assert jaccard(elements(left), elements(left)) == 1
    overlap = jaccard(elements(left), elements(right))
    assert overlap == jaccard(elements(right), elements(left))
    assert overlap == (len(kept_left & kept_right) / len(union) if union else 1)


def test_overlap_of_other_tensors():
    with pytest.raises(ValueError, match="not \\['b'\\]"):
        jaccard({"a": torch.ones(2, dtype=torch.bool)}, {"a": torch.ones(2, dtype=torch.bool), "b": torch.ones(1) > 0})


# Scores against plain autograd


def by_hand(model, task, shift, *, padding=False):
    """One batch of all texts: |W * grad W * (shift + mean output)|, from the model's own loss and plain hooks."""
    model, longest = copy.deepcopy(model).eval(), max(map(len, task.train.input_ids))
    ids = torch.full((len(task.train), longest), task.pad_token_id, dtype=torch.int64)
    real = torch.zeros(ids.shape, dtype=torch.bool)
    for i, row in enumerate(task.train.input_ids):
        ids[i, : len(row)], real[i, : len(row)] = torch.from_numpy(row), True
    means = {}

    def note(name):
        def hook(module, inputs, output):
            if output.ndim == 3 and output.shape[:2] != real.shape:  # of a DeBERTa's distances
                return
            flat = output[real | padding] if output.ndim == 3 else output
            means[name] = flat.detach().mean(0)

        return hook

    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            module.register_forward_hook(note(name))
    logits = model(input_ids=ids, attention_mask=real.long()).logits
    torch.nn.functional.cross_entropy(logits, torch.from_numpy(task.train.labels)).backward()
    found = {}
    for name in prunable_names(Supernet(model)):
        parameter = model.get_parameter(name)
        product = parameter * parameter.grad
        if shift is not None:
            factor = shift + means[name.rpartition(".")[0]]
            product = product * (factor[:, None] if parameter.ndim == 2 else factor)
        found[name] = product.abs().detach()
    return found


def close(left, right, rtol=1e-3):
    # Keys' biases have no influence: their gradients are rounding errors.
    assert left.keys() == right.keys()
    return all(torch.allclose(left[n], right[n], rtol=rtol, atol=1e-7) for n in left)


def agree(model, task):
    """The tokenised toy task for a model of any family."""
    return replace(task, pad_token_id=model.config.pad_token_id)


@pytest.mark.parametrize("shift", [None, 0.0, 10.0])
def test_scores_of_a_batch(model, shift):
    task = agree(model, toy.toy_task(24))
    assert close(scores_of(model, ElementScores(RECIPE, shift), task), by_hand(model, task, shift))


def test_padding_counts_if_asked_for():
    model, task = tiny_model("bert"), toy.toy_task(24)
    with_padding = ElementScores(replace(RECIPE, padding=True), 0.0)
    longest = max(map(len, task.train.input_ids))
    assert longest == 8  # a batch's length is rounded up to it, as by hand
    assert close(scores_of(model, with_padding, task), by_hand(model, task, 0.0, padding=True))
    assert not close(scores_of(model, with_padding, task), by_hand(model, task, 0.0))


def test_absolute_values_are_taken_per_batch():
    model, task, total = tiny_model("bert"), toy.toy_task(10), {}
    for i in range(10):
        part = replace(task.train, input_ids=[task.train.input_ids[i]], labels=task.train.labels[[i]])
        for name, score in by_hand(model, replace(task, train=part), 0.0).items():
            total[name] = total.get(name, 0) + score
    assert close(scores_of(model, ElementScores(replace(RECIPE, batch_size=1), 0.0), task), total)


def test_without_noise_smooth_is_snip():
    model = tiny_model("bert")
    snip = scores_of(model, ElementScores(RECIPE))

    def smooth(noise):
        return scores_of(model, ElementScores(replace(RECIPE, noise=noise, repeats=4)))

    assert close(smooth(0.0), snip)

    def distance(scores):
        return sum(float((scores[name] - snip[name]).abs().sum()) for name in snip)

    coarse, fine, finest = (distance(smooth(noise)) for noise in (1.0, 1e-2, 1e-5))
    assert coarse > 10 * fine > 1000 * finest


def test_a_large_shift_is_snip():
    model = tiny_model("bert").double()
    keys = {name for name in prunable_names(Supernet(model)) if name.endswith("key.bias")}  # only rounding errors
    snip, cam, shifted = (
        {name: score for name, score in scores_of(model, ElementScores(RECIPE, shift)).items() if name not in keys}
        for shift in (None, 0.0, 1e9)
    )
    chosen = kept_elements(snip, 0.3)
    assert jaccard(chosen, kept_elements(shifted, 0.3)) > 0.999
    assert jaccard(chosen, kept_elements(cam, 0.3)) < 0.9


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_leaves_the_model_as_it_is(name):
    scoring = STRATEGIES[name]
    if scoring.recipe is not None:
        scoring = replace(scoring, recipe=replace(scoring.recipe, texts=20))
    model = tiny_model("bert")
    before, mode = copy.deepcopy(model.state_dict()), copy.deepcopy(model).train()
    first = scores_of(model, scoring, toy.toy_task())
    second, other = (scores_of(mode, scoring, toy.toy_task(), seed) for seed in (0, 1))
    assert all(torch.equal(first[n], second[n]) for n in first)  # dropout is off, and the same seed
    assert any(not torch.equal(first[n], other[n]) for n in first) == (scoring.recipe is not None)
    assert mode.training
    assert not model.training
    assert all(torch.equal(before[n], p) for n, p in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(torch.isfinite(one).all() and (one >= 0).all() and not one.requires_grad for one in first.values())


def test_magnitude_looks_at_no_data():
    model, task = tiny_model("bert"), toy.toy_task()
    task = replace(task, train=replace(task.train, input_ids=[], labels=task.train.labels[:0]))
    scores = scores_of(model, STRATEGIES["magnitude"], task)
    assert all(torch.equal(one, model.get_parameter(name).abs()) for name, one in scores.items())
    with pytest.raises(InputError, match="at least 1 text"):
        scores_of(model, STRATEGIES["snip"], task)
