"""What is said of a model that is taken for fine-tuned but does not know the task."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from secateur.run.first_look import findings
from secateur.tasks import METRICS
from secateur.tests.supernet import toy

RNG = np.random.default_rng(0)


def answers(task, share, turn):
    """Outputs for the selection split that are right for a share of what is labelled, under an order of classes."""
    split = task.selection
    labels = np.concatenate(split.labels) if isinstance(split.labels, list) else split.labels
    right = RNG.random(len(labels)) < share
    said = np.where(right, labels, RNG.integers(0, 3, len(labels)))
    return np.eye(3)[np.array(turn)[np.maximum(said, 0)]]


@pytest.mark.parametrize("kind", ["classification", "token-classification"])
def test_classes_in_another_order_are_named(kind):
    task = toy.toy_task(kind=kind)
    (line,) = findings(answers(task, 0.95, (2, 0, 1)), task.selection, task)
    names = dict(zip((2, 0, 1), task.label_names, strict=True))
    written = ", ".join(f'"{i}": "{names[i]}"' for i in range(3))
    assert "right with its classes in another order: they seem to have other names than its config.json says" in line
    assert f'Write "id2label": {{{written}}} there and begin another run, or give another model' in line
    assert "\n" not in line


@pytest.mark.parametrize("kind", ["classification", "token-classification"])
def test_nothing_is_said_of_a_model_that_knows_the_task(kind):
    task = toy.toy_task(kind=kind)
    assert findings(answers(task, 0.9, (0, 1, 2)), task.selection, task) == []


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_no_order(seed):
    task = toy.toy_task()
    outputs = np.random.default_rng(seed).random((len(task.selection), 3))
    assert not any("another order" in line for line in findings(outputs, task.selection, task))


def test_a_model_below_a_constant_answer_is_called_so():
    task = toy.toy_task()
    labels = np.array([0] * 180 + [1, 2] * 10)
    task = replace(task, selection=replace(task.selection, labels=labels))
    said = np.where(np.arange(200) < 60, labels, 2)
    (line,) = findings(np.eye(3)[said], task.selection, task)
    right = (said == labels).mean()
    assert f"its accuracy is {right:.4f}, that answer's 0.9000" in line
    assert "on 200 rows of the selection split" in line


def test_a_rare_class_that_is_never_right_is_called_by_its_f1():
    task = replace(toy.toy_task(), metric=METRICS["f1"])
    labels = np.array([1] * 20 + [0] * 180)
    task = replace(task, selection=replace(task.selection, labels=labels))
    (line,) = findings(np.eye(3)[np.zeros(200, int)], task.selection, task)
    assert "its f1 of green is 0.0000, that answer's 0.1818" in line  # 2 * 0.1 / 1.1


def test_answers_and_numbers():
    task = toy.toy_task(kind="question-answering")
    split = task.selection
    right = np.zeros((int(split.output_counts.sum()), 2))
    for end in (0, 1):
        right[split.passages.starts + split.labels[:, end], end] = 1.0
    assert findings(right, split, task) == []
    (line,) = findings(-right, split, task)
    assert "is worse than a constant answer: on 200 rows of the selection split its squad_f1 is" in line
    numbers = toy.as_numbers(toy.toy_task())
    numbers = replace(numbers, selection=replace(numbers.selection, labels=np.arange(200, dtype=np.float32)))
    against = -np.arange(200.0)[:, None]
    (line,) = findings(against, numbers.selection, numbers)
    assert "its pearson is -1.0000, that answer's 0.0000" in line
    assert findings(-against, numbers.selection, numbers) == []
