"""Queries and their texts: files, batches of whole queries, losses and scores."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.evaluation.answers import Answers, error_interval
from secateur.pruners.calibration import calibration_batches
from secateur.supernet import Supernet
from secateur.tasks import KINDS, METRICS, Columns, Split, Teaching, Unlabelled, load_task
from secateur.tasks.batches import batches_per_epoch, collate, shares, training_order
from secateur.tasks.kinds.ranking import Ranking, ranking_scores
from secateur.tasks.ranking import load_ranking
from secateur.tests.tiny import tiny_model
from sklearn.metrics import average_precision_score, ndcg_score
from torch.nn import functional

ROWS = [(f"film {q}", f"{what} {q}", label) for q in range(40) for what, label in (("good", 1), ("bad", 0), ("a", 0))]


def write(path, rows=ROWS):
    lines = [json.dumps(dict(zip(("query", "text", "label"), row, strict=True))) for row in rows]
    path.write_text("\n".join(lines))
    return path


def split_of(counts, labels=None, lengths=None):
    groups = np.repeat(np.arange(len(counts)), counts)
    n = len(groups)
    rows = [np.ones(length, np.int32) for length in (lengths if lengths is not None else np.ones(n, int))]
    return Split(rows, None, np.zeros(n, np.float32) if labels is None else labels, groups=groups)


def test_queries_are_on_one_side_with_all_their_texts(tmp_path, tiny_tokenizer):
    mixed = [ROWS[i] for i in np.random.default_rng(0).permutation(len(ROWS))]
    task = load_task("ranking", tiny_tokenizer, seed=0, max_length=24, data=write(tmp_path / "data.jsonl", mixed))
    parts = task.train, task.selection, task.report["validation"]
    assert [part.examples for part in parts] == [26, 6, 8]
    assert all((np.unique(part.groups, return_counts=True)[1] == 3).all() for part in parts)
    assert all(part.labels.reshape(-1, 3).sum(axis=1).tolist() == [1] * part.examples for part in parts)
    assert (task.metric.name, task.label_names, task.is_pair) == ("ndcg@10", ("relevance",), True)


def test_equal_queries_are_on_one_side(tmp_path, tiny_tokenizer):
    rows = [(f"{query}{sign}", text, label) for query, text, label in ROWS for sign in ("", " !")]
    loaded = load_ranking(write(tmp_path / "data.jsonl", rows), Columns(), 0)
    train, report = (
        {query.removesuffix(" !") for query in part.queries} for part in (loaded.train, loaded.report["validation"])
    )
    assert train
    assert report
    assert not train & report


def test_the_cache_keeps_queries(tmp_path, tiny_tokenizer):
    where = {"seed": 0, "max_length": 24, "data": write(tmp_path / "data.jsonl"), "cache": tmp_path}
    first, again = (load_task("ranking", tiny_tokenizer, **where) for _ in range(2))
    assert again.train.groups.tolist() == first.train.groups.tolist()


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 12), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_batches_hold_whole_queries(counts, batch_size, seed):
    rng = np.random.default_rng(seed)
    split = split_of(counts, lengths=rng.integers(1, 9, sum(counts)))
    order = training_order(split, batch_size=batch_size, rng=rng)
    assert len(order) == batches_per_epoch(split, batch_size)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(split)))
    assert all(len(split.whole_groups(rows)) == len(rows) > 0 for rows in order)
    parts = shares(split, order[0], 2)
    assert sorted(np.concatenate(parts).tolist()) == sorted(order[0].tolist())
    assert all(len(np.intersect1d(split.whole_groups(part), order[0])) == len(part) for part in parts)


def test_pointwise_loss_is_that_of_each_pair():
    split = split_of([2, 1], np.array([1.0, 0.0, 0.5], np.float32))
    outputs = torch.tensor([[0.3], [-1.0], [2.0]])
    loss = KINDS["ranking"].loss(outputs, collate(split, np.arange(3), 0))
    expected = functional.binary_cross_entropy_with_logits(outputs[:, 0], torch.tensor([1.0, 0.0, 0.5]))
    assert float(loss) == pytest.approx(float(expected))


def test_listwise_loss_by_hand_and_query_by_query():
    labels = np.array([1.0, 0.0, 0.5, 0.5, 1.0, 0.0], np.float32)
    split, outputs, kind = split_of([2, 3, 1], labels), torch.randn(6, 1, requires_grad=True), Ranking(listwise=True)
    loss = kind.loss(outputs, collate(split, np.arange(6), 0))
    scores = outputs[:, 0].split([2, 3, 1])
    shares_of = [torch.tensor(one) for one in ([1.0, 0.0], [0.25, 0.25, 0.5], [0.0])]
    by_hand = -sum((p * torch.log_softmax(s, 0)).sum() for p, s in zip(shares_of, scores, strict=True)) / 3
    torch.testing.assert_close(loss, by_hand)
    loss.backward()
    assert torch.isfinite(outputs.grad).all()
    assert kind.terms(split, np.arange(6)) == 3
    parts = [np.array([0, 1]), np.array([2, 3, 4]), np.array([5])]
    one_by_one = [kind.loss(outputs[rows], collate(split, rows, 0)) for rows in parts]
    torch.testing.assert_close(sum(one_by_one) / 3, loss)


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    counts = rng.integers(2, 25, 40)
    groups = np.repeat(np.arange(40), counts)
    scores, labels = rng.normal(size=len(groups)), rng.integers(0, 3, len(groups)) * (rng.random(len(groups)) < 0.3)
    shuffled = rng.permutation(len(groups))  # a query's texts need not stand together
    found = ranking_scores(scores[shuffled], labels[shuffled].astype(float), groups[shuffled])
    for query in range(40):
        mine, truth = scores[groups == query], labels[groups == query]
        if not truth.any():
            assert found[query].tolist() == [0.0, 0.0, 0.0]
            continue
        assert found[query, 0] == pytest.approx(ndcg_score([truth], [mine], k=10))
        assert found[query, 2] == pytest.approx(average_precision_score(truth > 0, mine))
        place = 1 + int(np.flatnonzero(truth[np.argsort(-mine)] > 0)[0])
        assert found[query, 1] == pytest.approx(1 / place if place <= 10 else 0.0)


def test_equal_scores_are_no_order():
    counts, n = [10] * 200, 2000
    labels = np.tile([1.0] + [0.0] * 9, 200)  # the relevant text always comes first
    first = ranking_scores(np.zeros(n), labels, np.repeat(np.arange(200), counts))[:, 1].mean()
    by_chance = np.mean([1 / place for place in range(1, 11)])
    assert first == pytest.approx(by_chance, abs=0.08)


def test_intervals_are_over_queries():
    rng = np.random.default_rng(0)
    labels = np.tile(np.eye(5, dtype=np.float32)[0], 100)
    split = split_of([5] * 100, labels)
    answers = Answers.of(METRICS["mrr@10"], [(labels + rng.normal(size=500))[:, None]], [split])
    assert len(answers.sets[0][0]) == 100
    low, high = error_interval(answers, seed=0)
    assert low < answers.error() < high
    spread = answers.sets[0][0][:, 1].std() / 10
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_calibration_draws_whole_queries(tmp_path, tiny_tokenizer):
    listwise = Teaching(listwise=True)
    path = write(tmp_path / "data.jsonl")
    task = load_task("ranking", tiny_tokenizer, seed=0, max_length=24, data=path, teaching=listwise)
    supernet = Supernet(tiny_model("bert", num_labels=1))
    drawn = list(calibration_batches(supernet, task, 20, np.random.default_rng(0), batch_size=6))
    rows = np.concatenate([batch.index for batch in drawn])
    assert 20 <= len(rows) <= 25
    assert len(task.train.whole_groups(rows)) == len(np.unique(rows)) == len(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "b", 1), ("a", "c", -1)], "row 2 of .* must hold how relevant the text is in column 'label'"),
        ([("a", "b", "yes"), ("a", "c", "no")], "row 1 of .* a number from 0 on, got 'yes'; 0 is not relevant"),
        ([("a", "b", 0), ("a", "c", 0)], "no text of .* is relevant: all labels are 0"),
        ([("a", "b", 1), ("c", "d", 0)], "no query of .* has texts of different relevance"),
        ([("a", None, 1), ("c", "d", 0)], "column 'text' of .* must hold texts"),
    ],
)
def test_what_is_no_ranking_is_refused(tmp_path, rows, message):
    with pytest.raises(InputError, match=message):
        load_ranking(write(tmp_path / "data.jsonl", rows), Columns(), 0)


def test_no_query_is_in_both_files(tmp_path):
    write(tmp_path / "train.jsonl")
    write(tmp_path / "validation.jsonl", ROWS[-3:])
    with pytest.raises(InputError, match=r"1 queries of .*validation.jsonl are in .*train.jsonl, .* 'film 39'"):
        load_ranking(tmp_path, Columns(), 0)


def test_a_listwise_loss_belongs_to_rankings(tmp_path, tiny_tokenizer):
    where = {"seed": 0, "max_length": 24, "data": write(tmp_path / "data.jsonl")}
    listwise = Teaching(listwise=True)
    assert load_task("ranking", tiny_tokenizer, teaching=listwise, **where).kind.listwise
    with pytest.raises(InputError, match="a listwise loss is one of a ranking's two, but the labels are a"):
        load_task("local", tiny_tokenizer, teaching=listwise, **where)


def test_labels_are_not_looked_at_where_a_model_answers(tmp_path, tiny_tokenizer):
    bare = [{"query": query, "text": text, "label": "?"} for query, text, _ in ROWS]
    path = tmp_path / "data.jsonl"
    path.write_text("\n".join(map(json.dumps, bare)))
    columns = Columns(unlabelled=Unlabelled("ranking", ("relevance",)))
    task = load_task("ranking", tiny_tokenizer, seed=0, max_length=24, data=path, columns=columns)
    assert task.kind.unlabelled(task.train) == len(task.train)
    assert (task.metric.name, task.selection.examples) == ("agreement", 6)
    path.write_text("\n".join(json.dumps({**row, "query": f"{i}"}) for i, row in enumerate(bare)))
    with pytest.raises(InputError, match=r"no query of .* has several texts, so there is nothing to rank"):
        load_ranking(path, columns, 0)
