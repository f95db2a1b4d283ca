"""Losses against numbers worked out by hand, and against torch, text by text."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from secateur.tasks import KINDS, METRICS, Split
from secateur.tasks.batches import collate
from secateur.tasks.relations import Pairs, Relevance
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_similarity
from torch.nn import functional

LENGTHS = [4, 2, 5]
LABELS = {
    "classification": np.array([2, 0, 1]),
    "regression": np.array([0.5, -1.0, 2.0], np.float32),
    "multilabel": np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0]]),
    "ranking": np.array([1.0, 0.0, 0.5], np.float32),
    "question-answering": np.array([[1, 3], [0, 0], [2, 2]]),
    "token-classification": [np.array(row) for row in ([-100, 1, 2, -100], [-100, -100], [0, 1, -100, 2, 2])],
    "embedding": np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, 1.0]], np.float32),
}
OUTPUTS = {
    "classification": 3,
    "regression": 1,
    "multilabel": 3,
    "ranking": 1,
    "question-answering": 2,
    "token-classification": 3,
    "embedding": 2,
}


def make_split(name):
    ids = [np.arange(1, length + 1, dtype=np.int32) for length in LENGTHS]
    tags = ("a", "b", "c") if name == "token-classification" else ()
    groups = np.array([0, 0, 1]) if name == "ranking" else None
    return Split(ids, None, LABELS[name], per_token=KINDS[name].per_token, tags=tags, groups=groups)


def make_batch(name, length=None):
    return collate(make_split(name), np.arange(3), pad_token_id=0, length=length)


def random_outputs(name, seed=0):
    rows = sum(LENGTHS) if KINDS[name].per_token else 3
    return torch.randn(rows, OUTPUTS[name], generator=torch.Generator().manual_seed(seed))


def of_labels(labels):
    """A batch of one-token texts with these labels."""
    return collate(Split([np.ones(1, np.int32)] * len(labels), None, np.array(labels)), np.arange(len(labels)), 0)


def expected_soft(student, teacher, temperature):
    """`T^2 * KL(softmax(t / T), softmax(s / T))` of one distribution each."""
    target = torch.softmax(teacher / temperature, 0)
    return temperature**2 * (target * (target.log() - torch.log_softmax(student / temperature, 0))).sum()


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, log(3.0)], [0.0, 0.0]])  # probabilities (1/4, 3/4) and (1/2, 1/2)
    loss = KINDS["classification"].loss
    assert float(loss(logits, of_labels([1, 0]))) == pytest.approx((log(4 / 3) + log(2)) / 2)
    assert float(loss(logits, of_labels([0, 1]))) == pytest.approx((log(4) + log(2)) / 2)


def test_squared_error_by_hand():
    outputs = torch.tensor([[1.0], [5.0]])
    batch = of_labels(np.array([3.0, 4.5], np.float32))
    assert float(KINDS["regression"].loss(outputs, batch)) == pytest.approx((4 + 0.25) / 2)


def test_binary_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, log(3.0)], [0.0, -log(3.0)]])  # probabilities 1/2, 3/4; 1/2, 1/4
    loss = KINDS["multilabel"].loss
    assert float(loss(logits, of_labels([[1, 1], [0, 0]]))) == pytest.approx((2 * log(2) + 2 * log(4 / 3)) / 4)
    assert float(loss(logits, of_labels([[0, 0], [1, 1]]))) == pytest.approx((2 * log(2) + 2 * log(4)) / 4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_of_labels_by_hand(temperature):
    student = torch.tensor([[temperature * log(3.0), 0.0]])  # softened: 3/4, 1/2
    teacher = torch.tensor([[0.0, 0.0]])
    soft = (0.5 * log(0.5 / 0.75) + 0.5 * log(0.5 / 0.25)) / 2
    got = KINDS["multilabel"].distillation(student, teacher, of_labels([[1, 0]]), temperature=temperature)
    assert float(got) == pytest.approx(temperature**2 * soft, rel=1e-5)


def test_the_loss_of_a_span_is_that_over_its_own_texts_tokens():
    outputs = random_outputs("question-answering")
    by_hand = 0.0
    for logits, (first, last) in zip(outputs.split(LENGTHS), LABELS["question-answering"], strict=True):
        by_hand -= float(torch.log_softmax(logits, 0)[first, 0] + torch.log_softmax(logits, 0)[last, 1]) / 6
    assert float(KINDS["question-answering"].loss(outputs, make_batch("question-answering"))) == pytest.approx(by_hand)


def test_the_loss_of_tags_is_the_mean_over_words_with_one():
    outputs = random_outputs("token-classification")
    labels = torch.from_numpy(np.concatenate(LABELS["token-classification"]))
    told = labels >= 0
    by_hand = functional.cross_entropy(outputs[told], labels[told])
    assert float(KINDS["token-classification"].loss(outputs, make_batch("token-classification"))) == pytest.approx(
        float(by_hand)
    )


def test_a_batch_without_a_label_teaches_nothing():
    split = Split([np.ones(3, np.int32)], None, [np.full(3, -100)], per_token=True, tags=("a", "b"))
    outputs = torch.randn(3, 2, requires_grad=True)
    KINDS["token-classification"].loss(outputs, collate(split, np.arange(1), 0)).backward()
    assert torch.equal(outputs.grad, torch.zeros(3, 2))


@pytest.mark.parametrize("temperature", [2.0, 10.0])
@pytest.mark.parametrize("label_weight", [0.0, 0.5, 1.0])
def test_distillation_by_hand(temperature, label_weight):
    student = torch.tensor([[0.0, temperature * log(3.0)]])  # softened: (1/4, 3/4)
    teacher = torch.tensor([[temperature * log(3.0), 0.0]])  # softened: (3/4, 1/4)
    soft = 0.75 * log(0.75 / 0.25) + 0.25 * log(0.25 / 0.75)
    hard = log(1 + 3.0**-temperature)  # of class 1, at temperature 1
    got = KINDS["classification"].distillation(
        student, teacher, of_labels([1]), temperature=temperature, label_weight=label_weight
    )
    assert float(got) == pytest.approx(temperature**2 * soft + label_weight * hard, rel=1e-5)


def test_distillation_of_spans_compares_texts_token_by_token():
    student, teacher = (random_outputs("question-answering", seed) for seed in (0, 1))
    pairs = zip(student.split(LENGTHS), teacher.split(LENGTHS), strict=True)
    by_hand = sum(expected_soft(a[:, end], b[:, end], 4.0) for a, b in pairs for end in (0, 1)) / 6
    got = KINDS["question-answering"].distillation(student, teacher, make_batch("question-answering"), temperature=4.0)
    assert float(got) == pytest.approx(float(by_hand), rel=1e-4)


def test_distillation_of_tags_compares_words_with_a_label():
    student, teacher = (random_outputs("token-classification", seed) for seed in (0, 1))
    told = np.flatnonzero(np.concatenate(LABELS["token-classification"]) >= 0)
    by_hand = sum(expected_soft(student[i], teacher[i], 4.0) for i in told) / len(told)
    got = KINDS["token-classification"].distillation(
        student, teacher, make_batch("token-classification"), temperature=4.0
    )
    assert float(got) == pytest.approx(float(by_hand), rel=1e-4)


@pytest.mark.parametrize("label_weight", [0.0, 1.0])
def test_distillation_of_numbers_is_the_squared_distance_to_the_teacher(label_weight):
    student, teacher = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.5], [0.0]])
    batch = of_labels(np.array([9.0, 9.0], np.float32))
    got = KINDS["regression"].distillation(student, teacher, batch, temperature=3.0, label_weight=label_weight)
    assert float(got) == (0.25 + 4) / 2


def test_gradient_is_that_of_the_divergence():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(5, 3, generator=generator, requires_grad=True)
    teacher = torch.randn(5, 3, generator=generator, requires_grad=True)
    t = 4.0
    KINDS["classification"].distillation(student, teacher, of_labels([0, 1, 2, 2, 1]), temperature=t).backward()
    by_hand = t * (torch.softmax(student / t, 1) - torch.softmax(teacher / t, 1)) / 5
    torch.testing.assert_close(student.grad, by_hand.detach())

    again = student.detach().requires_grad_()
    divergence = functional.kl_div(
        torch.log_softmax(again / t, 1), torch.softmax(teacher.detach() / t, 1), reduction="batchmean"
    )
    (t * t * divergence).backward()
    torch.testing.assert_close(student.grad, again.grad)


@pytest.mark.parametrize("name", KINDS)
def test_an_equal_student_learns_nothing_from_its_teacher_and_the_teacher_nothing_at_all(name):
    student, teacher = random_outputs(name).requires_grad_(), random_outputs(name).requires_grad_()
    loss = KINDS[name].distillation(student, teacher, make_batch(name), temperature=3.0)
    loss.backward()
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    torch.testing.assert_close(student.grad, torch.zeros_like(student), atol=1e-6, rtol=0)
    assert teacher.grad is None


@pytest.mark.parametrize("name", KINDS)
def test_padding_never_matters(name):
    kind, outputs, teacher = KINDS[name], random_outputs(name), random_outputs(name, seed=1)
    found = []
    for length in (5, 16):
        batch = make_batch(name, length)
        assert batch.input_ids.shape == (3, length)
        found.append((kind.loss(outputs, batch), kind.distillation(outputs, teacher, batch, temperature=2.0)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", KINDS)
def test_losses_of_short_floats_are_float32(name):
    outputs, teacher, batch = random_outputs(name).bfloat16(), random_outputs(name, 1).bfloat16(), make_batch(name)
    assert KINDS[name].loss(outputs, batch).dtype == torch.float32
    assert KINDS[name].distillation(outputs, teacher, batch, temperature=2.0, label_weight=1.0).dtype == torch.float32


@pytest.mark.parametrize("name", KINDS)
def test_labels_that_were_not_published_are_counted(name):
    kind, split = KINDS[name], make_split(name)
    assert kind.unlabelled(split) == (1 if name == "token-classification" else 0)
    missing = {
        "classification": np.array([2, -1, -1]),
        "regression": np.array([0.5, np.nan, np.nan], np.float32),
        "multilabel": np.array([[0, 1, 0], [-1, -1, -1], [0, -1, 1]]),
        "ranking": np.array([1.0, np.nan, -1.0], np.float32),
        "question-answering": np.array([[1, 3], [-1, -1], [-1, -1]]),
        "token-classification": [np.array([1, 0, 0, 0]), np.full(2, -100), np.full(5, -100)],
        "embedding": np.empty((3, 0), np.float32),  # all are made at once
    }[name]
    expected = 3 if name == "embedding" else 2
    assert kind.unlabelled(Split(split.input_ids, None, missing, per_token=kind.per_token)) == expected


def test_distillation_of_vectors_by_hand():
    student, teacher = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 3.0], [0.0, 5.0]])
    batch = of_labels(np.zeros((2, 2), np.float32))
    cosine = 0.5**0.5  # of the first vectors, and of the teacher's two; the student's two have 0
    by_hand = (1 - cosine) / 2 + 10 * (0 - cosine) ** 2
    for label_weight in (0.0, 1.0):
        got = KINDS["embedding"].distillation(student, teacher, batch, temperature=3.0, label_weight=label_weight)
        assert float(got) == pytest.approx(by_hand)
    alone = of_labels(np.ones((1, 2), np.float32))
    assert float(KINDS["embedding"].loss(student[:1], alone)) == pytest.approx(1 - cosine)


def test_gradients_that_score_units_are_fishers():
    """Over many draws their squares are those of the direction, though the vectors are the whole model's."""
    vector = torch.tensor([[3.0, 4.0]], requires_grad=True)
    split = Split([np.ones(1, np.int32)], None, np.array([[3.0, 4.0]], np.float32))
    squares = []
    for row in range(4000):
        batch = replace(collate(split, np.arange(1), 0), index=np.array([row]))
        (gradient,) = torch.autograd.grad(KINDS["embedding"].scoring_loss(vector, batch), vector)
        squares.append(gradient[0].numpy())
    across = np.array([-4.0, 3.0]) / 5  # the direction's derivative is across the vector, over its length 5
    found = np.einsum("ij,ik->jk", squares, squares) / len(squares)
    np.testing.assert_allclose(found, np.outer(across, across) / 25, atol=0.004)


def compared(outputs, split):
    return KINDS["embedding"].compared(np.asarray(outputs, np.float64), split)[0]


def test_neighbours_are_held_against_the_whole_models_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    whole, outputs = rng.normal(size=(2, 40, 5))
    split = Split([np.ones(1, np.int32)] * 40, None, whole.astype(np.float32))
    found = compared(outputs, split)
    near, theirs = (cosine_similarity(vectors) for vectors in (outputs, whole.astype(np.float32)))
    for row in range(40):
        others = np.arange(40) != row
        top = np.argsort(-theirs[row, others])[:10]
        relevant = np.isin(np.arange(39), top)
        mine = np.argsort(-near[row, others])[:10]
        assert found[row, 1] == pytest.approx(np.isin(mine, top).mean())
        assert found[row, 2] == pytest.approx(ndcg_score([relevant], [near[row, others]], k=10))
    assert found[:, 0] == pytest.approx((unit(outputs) * unit(whole)).sum(1), abs=1e-6)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_queries_are_held_against_the_documents_that_are_relevant():
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(3 + 30, 4))
    grades = ({0: 2.0, 7: 1.0}, {3: 1.0}, dict.fromkeys(range(12), 1.0))
    split = Split([np.ones(1, np.int32)] * 33, None, vectors.astype(np.float32), relations=Relevance(grades))
    found = compared(vectors, split)
    assert split.examples == len(found) == 3
    near = cosine_similarity(vectors[:3], vectors[3:])
    for row, known in enumerate(grades):
        truth = np.array([known.get(i, 0.0) for i in range(30)])
        hits = (truth[np.argsort(-near[row])[:10]] > 0).sum()
        assert found[row, 1] == pytest.approx(hits / min(10, len(known)))
        assert found[row, 2] == pytest.approx(ndcg_score([truth], [near[row]], k=10))
    assert found[:, 0] == pytest.approx(1)


def test_pairs_are_judged_by_how_alike_they_are():
    rng = np.random.default_rng(2)
    vectors, scores = rng.normal(size=(24, 4)), rng.random(12)
    split = Split([np.ones(1, np.int32)] * 24, None, vectors.astype(np.float32), relations=Pairs(scores))
    alike = (unit(vectors)[::2] * unit(vectors)[1::2]).sum(1)
    assert METRICS["sts_spearman"].score(vectors, split) == pytest.approx(spearmanr(alike, scores).statistic)
    assert METRICS["agreement"].score(vectors, split) == pytest.approx(1)
    (constant,) = KINDS["embedding"].constants(split)
    assert METRICS["sts_spearman"].score(constant, split) == 0
    assert split.take(np.arange(5)).relations is None


def test_a_teacher_of_texts_without_labels_teaches_all_tokens():
    kind, (student, teacher) = KINDS["token-classification"], (torch.randn(3, 2), torch.randn(3, 2))
    split = Split([np.ones(3, np.int32)], None, [np.full(3, -100)], per_token=True, tags=("a", "b"))
    got = kind.distillation(student, teacher, collate(split, np.arange(1), 0), temperature=2.0)
    by_hand = sum(expected_soft(student[i], teacher[i], 2.0) for i in range(3)) / 3
    assert float(got) == pytest.approx(float(by_hand), rel=1e-4)


def test_a_mean_has_a_term_for_each_text_or_each_token_with_a_label():
    split, rows = make_split("token-classification"), np.arange(3)
    kind = KINDS["token-classification"]
    assert [kind.terms(split, rows), kind.terms(split, rows[:1]), kind.terms(split, rows[1:2])] == [6, 2, 1]
    assert KINDS["question-answering"].terms(make_split("question-answering"), rows) == 3
