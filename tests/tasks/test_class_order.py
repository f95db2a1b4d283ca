"""Whose order the classes have: the model's, where it knows them by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.tasks import METRICS, Columns, load_task
from secateur.tasks.class_order import in_order_of
from secateur.tests.supernet import toy


def named_labels(task):
    """Every label of every split, by name: what must stay."""
    splits = {"train": task.train, "selection": task.selection, **task.report}
    found = {}
    for name, split in splits.items():
        rows = split.labels if isinstance(split.labels, list) else [split.labels]
        found[name] = [[task.label_names[i] if i >= 0 else None for i in row] for row in rows]
    return found


@pytest.mark.parametrize("kind", ["classification", "token-classification"])
@pytest.mark.parametrize("turn", [(0, 2, 1), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("spelt", [str, str.upper, lambda name: name.replace("-", "_")])
def test_every_row_keeps_its_class_by_name(kind, turn, spelt):
    task = toy.toy_task(kind=kind)
    names = [spelt(task.label_names[i]) for i in turn]
    ordered = in_order_of(task, names)
    assert ordered.label_names == tuple(task.label_names[i] for i in turn)
    assert named_labels(ordered) == named_labels(task)
    assert ordered.train.tags == (ordered.label_names if kind == "token-classification" else ())
    assert in_order_of(ordered, names) is ordered
    assert ordered.fingerprint == task.fingerprint  # the same data, the same splits
    assert in_order_of(ordered, task.label_names).label_names == task.label_names


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1", "LABEL_2"), ("x", "y", "z"), ("x", "x", "x")])
def test_names_that_say_nothing_leave_the_order(names):
    task = toy.toy_task()
    assert in_order_of(task, names) is task


def test_kinds_without_classes():
    answers = toy.toy_task(kind="question-answering")
    assert in_order_of(answers, ("end", "start")) is answers
    numbers = toy.as_numbers(toy.toy_task())
    assert in_order_of(numbers, ("score",)) is numbers


def test_another_number_of_classes_is_left_to_the_check():
    task = toy.toy_task()
    assert in_order_of(task, ("blue", "green", "red", "black")) is task


def test_names_that_are_partly_the_datas():
    match = "the model's classes are red, green, black, and 'blue' of the task 'toy' is none of them, though others are"
    with pytest.raises(InputError, match=match):
        in_order_of(toy.toy_task(), ("red", "green", "black"))


def test_a_tagger_that_knows_more_tags():
    task = toy.toy_task(kind="token-classification")
    outputs = np.random.default_rng(0).random((int(task.selection.output_counts.sum()), 3))
    ordered = in_order_of(task, ("X", "I-X", "O", "B-X"))
    assert named_labels(ordered) == named_labels(task)
    assert ordered.selection.tags == ("O", "I-X", "O", "B-X")  # X is no entity
    assert ordered.label_names == ("X", "I-X", "O", "B-X")
    places = [ordered.label_names.index(name) for name in task.label_names]
    theirs = np.zeros((len(outputs), 4))
    theirs[:, places] = outputs
    for name in ("entity_f1", "token_accuracy"):
        expected = METRICS[name].score(outputs, task.selection)
        assert METRICS[name].score(theirs, ordered.selection) == expected


def test_f1_stays_that_of_the_same_class(tmp_path, tokenizer):
    rows = [f"text {i},{'fraud' if i % 10 == 0 else 'ok'}" for i in range(100)]
    (tmp_path / "a.csv").write_text("\n".join(["text,label", *rows]))
    columns = Columns(metric="f1")
    task = load_task("local", tokenizer, seed=0, max_length=32, data=tmp_path / "a.csv", columns=columns)
    ordered = in_order_of(task, ("ok", "fraud"))
    assert (task.label_names, ordered.label_names) == (("fraud", "ok"), ("ok", "fraud"))
    assert task.metric_title == ordered.metric_title == "f1 of fraud"
    assert (task.positive, ordered.positive) == (0, 1)
    outputs = np.random.default_rng(0).random((len(task.selection), 2))
    score = task.metric.score(outputs, task.selection)
    assert 0 < score == ordered.metric.score(outputs[:, ::-1], ordered.selection)
    own = replace(task, metric=METRICS["f1"])
    assert own.metric_title == "f1 of ok"
    assert in_order_of(own, ("ok", "fraud")).metric_title == "f1 of ok"
