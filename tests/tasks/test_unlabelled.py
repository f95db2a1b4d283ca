"""Texts without labels, and answers in the place of labels, for every kind of task."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from secateur.errors import InputError
from secateur.tasks import KINDS, Columns, Split, Unlabelled, load_task
from secateur.tasks.agreement import agreement
from secateur.tasks.batches import collate
from secateur.tasks.passages import Passages
from secateur.tasks.unlabelled import answered, splits_of, with_answers_of

CLASSES = Unlabelled("classification", ("no", "yes"))
NUMBERS = Unlabelled("regression", ("score",))
TAGS = Unlabelled("token-classification", ("O", "B-X", "I-X"))
SPANS = Unlabelled("question-answering", ("start", "end"))


def load(name, data, tokenizer, unlabelled, **arguments):
    columns = Columns(unlabelled=unlabelled, **arguments)
    return load_task(name, tokenizer, data=data, columns=columns, seed=0, max_length=32)


def texts(count=60):
    return [f"{chr(97 + i % 26)}{chr(97 + i // 26)}{'x' * (i % 5)}" for i in range(count)]


def outputs_of(split, classes):
    """Outputs that depend on nothing but a text's tokens."""
    rows = [row if split.per_token else row[:1] * 0 + row.sum() for row in split.input_ids]
    return np.stack([np.cos(np.concatenate(rows) * (k + 1.3)) for k in range(classes)], axis=1)


def answered_task(task):
    return answered(task, lambda split: outputs_of(split, task.num_labels))


@pytest.mark.parametrize("unlabelled", [CLASSES, NUMBERS], ids=lambda one: one.kind)
@pytest.mark.parametrize("ending", ["txt", "csv", "jsonl"])
def test_texts_alone(tmp_path, tokenizer, unlabelled, ending):
    path = tmp_path / f"traffic.{ending}"
    write = {
        "txt": lambda: "\n\n".join(texts()),
        "csv": lambda: "\n".join(["text,other", *(f"{text},?" for text in texts())]),
        "jsonl": lambda: "\n".join(json.dumps({"text": text}) for text in texts()),
    }[ending]
    path.write_text(write())
    task = load("local", path, tokenizer, unlabelled)
    assert (task.kind.name, task.label_names, task.metric.name) == (
        unlabelled.kind,
        unlabelled.label_names,
        "agreement",
    )
    assert sum(map(len, splits_of(task).values())) == 60
    assert all(task.kind.unlabelled(split) == len(split) for split in splits_of(task).values())
    mine = answered_task(task)
    assert mine.answered
    assert mine.metric_title == "agreement with the whole model"
    for split in splits_of(mine).values():
        assert mine.kind.unlabelled(split) == 0
        assert mine.metric.score(outputs_of(split, task.num_labels), split) == pytest.approx(1)


def test_labels_that_are_there_change_nothing(tmp_path, tokenizer):
    """Neither splits nor anything else: what is not looked at may be wrong, too."""
    found = []
    for labels in (["a", "b"] * 30, [""] * 60, None):
        path = tmp_path / f"{len(found)}.jsonl"
        rows = [{"text": text} for text in texts()]
        rows = rows if labels is None else [row | {"label": label} for row, label in zip(rows, labels, strict=True)]
        path.write_text("\n".join(map(json.dumps, rows)))
        found.append(load("local", path, tokenizer, CLASSES).fingerprint)
    assert len(set(found)) == 1


@pytest.mark.parametrize("form", ["words", "texts", "conll", "a word per line"])
def test_sentences_alone(tmp_path, tokenizer, form):
    rows = [text.split() for text in (f"{a} {b} {a}" for a, b in zip(texts(40), reversed(texts(40)), strict=True))]
    if form in ("words", "texts"):
        path = tmp_path / "all.jsonl"
        column = {"words": "tokens", "texts": "text"}[form]
        path.write_text("\n".join(json.dumps({column: r if form == "words" else " ".join(r)}) for r in rows))
    else:
        path = tmp_path / "all.conll"
        tag = "\tB-Y" if form == "conll" else ""
        path.write_text("\n\n".join("\n".join(f"{word}{tag}" for word in row) for row in rows))
    task = answered_task(load("tagging", path, tokenizer, TAGS))
    assert task.label_names == TAGS.label_names
    for split in splits_of(task).values():
        assert {int((labels >= 0).sum()) for labels in split.labels} == {3}  # one for each word
        assert task.metric.score(outputs_of(split, 3), split) == 1
    train = task.train
    other = outputs_of(train, 3)
    first = np.flatnonzero(np.concatenate(train.labels) >= 0)[0]
    other[first] = np.roll(np.eye(3)[other[first].argmax()], 1)
    assert task.metric.error(other, train) == pytest.approx(1 / (3 * len(train)))


@pytest.mark.parametrize("name", ["squad", "squad_v2"])
def test_questions_alone(tmp_path, tokenizer, name):
    for split in ("train", "validation"):
        rows = [{"question": text, "context": f"{text} is {i % 7}"} for i, text in enumerate(texts(30))]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = answered_task(load(name, tmp_path, tokenizer, SPANS))
    for split in splits_of(task).values():
        outputs = outputs_of(split, 2)
        assert task.metric.score(outputs, split) == 1
        # What training is taught is where the answer stands.
        for row, (first, last) in enumerate(split.labels):
            said = split.passages.answers[split.passages.questions[row]]
            if said and last:
                begin, end = split.passages.spans[row][first, 0], split.passages.spans[row][last, 1]
                assert split.passages.contexts[split.passages.questions[row]][begin:end] == said[0]
        assert any(last for _, last in split.labels)


def test_an_answer_is_told_in_every_window_that_holds_it():
    """Characters 2 to 4 in the first two of three windows on a context of four words."""
    words = np.array([[-1, -1], [0, 1], [2, 4], [5, 6], [7, 8]], np.int32)
    spans = [words[[0, 1, 2]], words[[0, 2, 3]], words[[0, 3, 4]]]
    passages = Passages(np.zeros(3, np.int64), spans, ("a bc d e",), ((),), unanswerable=False)
    empty = Split([np.ones(3, np.int32)] * 3, None, np.zeros((3, 2), np.int64), per_token=True, passages=passages)
    outputs = np.zeros((9, 2))
    outputs[2] = 5
    split = KINDS["question-answering"].answered(outputs, empty)
    assert split.passages.answers == (("bc",),)
    assert split.labels.tolist() == [[2, 2], [1, 1], [0, 0]]


def test_published_labels_are_hidden(shared, tokenizer):
    task = load("rte", shared, tokenizer, Unlabelled("classification", ("a", "b", "c")))
    assert task.label_names == ("a", "b", "c")  # the model's, whatever the task's are
    assert task.kind.unlabelled(task.train) == len(task.train)


def test_the_demo_hides_its_labels(tokenizer):
    task = load_task("demo", tokenizer, columns=Columns(unlabelled=NUMBERS), seed=0, max_length=32)
    assert task.kind.unlabelled(task.selection) == len(task.selection)


@pytest.mark.parametrize(
    ("name", "unlabelled", "message"),
    [
        (
            "tagging",
            CLASSES,
            "without labels the task tagging needs a model with a head for token-classification, but this one has a "
            "head for sequence-classification; take one of cola, demo, local",
        ),
        ("local", TAGS, "but this one has a head for token-classification; take one of tagging"),
        ("rte", SPANS, "but this one has a head for question-answering; take one of squad, squad_v2"),
    ],
)
def test_a_model_that_cannot_be_asked(tmp_path, tokenizer, name, unlabelled, message):
    with pytest.raises(InputError, match=message):
        load(name, tmp_path, tokenizer, unlabelled)


def test_a_line_without_a_word(tmp_path, tokenizer):
    (tmp_path / "all.jsonl").write_text('{"text": "a b"}\n{"text": " "}\n')
    with pytest.raises(InputError, match=r"row 2 of .* holds no words; drop or mend it"):
        load("tagging", tmp_path / "all.jsonl", tokenizer, TAGS)


def test_answers_in_other_tokens(tmp_path, tokenizer, byte_tokenizer):
    (tmp_path / "all.jsonl").write_text("\n".join(json.dumps({"text": f"{t} {t}b c"}) for t in texts(40)))
    task = answered_task(load("tagging", tmp_path / "all.jsonl", tokenizer, TAGS))
    other = with_answers_of(task, load("tagging", tmp_path / "all.jsonl", byte_tokenizer, TAGS))
    for mine, theirs in zip(splits_of(task).values(), splits_of(other).values(), strict=True):
        for a, b in zip(mine.labels, theirs.labels, strict=True):
            assert a[a >= 0].tolist() == b[b >= 0].tolist()
    (tmp_path / "texts.txt").write_text("\n".join(texts()))
    task = answered_task(load("local", tmp_path / "texts.txt", tokenizer, CLASSES))
    other = with_answers_of(task, load("local", tmp_path / "texts.txt", byte_tokenizer, CLASSES))
    assert other.selection.labels.tolist() == task.selection.labels.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_a_models_own_answers_have_a_gradient(name):
    """Where they had none, all units would matter as little: scores of zeros, and no error."""
    kind = KINDS[name]
    ids, tags = [np.arange(1, n + 1, dtype=np.int32) for n in (3, 4)], ("a", "b", "c")
    outputs = torch.randn(
        7 if kind.per_token else 2, {"regression": 1, "question-answering": 2, "ranking": 1}.get(name, 3)
    )
    labels = {
        "classification": np.zeros(2, np.int64),
        "regression": np.zeros(2, np.float32),
        "question-answering": np.zeros((2, 2), np.int64),
        "token-classification": [np.zeros(n, np.int64) for n in (3, 4)],
        "multilabel": np.zeros((2, 3), np.int64),
        "ranking": np.zeros(2, np.float32),
        "embedding": np.zeros((2, 0), np.float32),
    }[name]
    words = [np.array([[-1, -1], *([i, i + 1] for i in range(n - 1))], np.int32) for n in (3, 4)]
    passages = Passages(np.arange(2), words, ("ab", "abc"), ((), ()), unanswerable=False)
    own = {"passages": passages} if name == "question-answering" else {}
    own |= {"groups": np.zeros(2, np.int64)} if name == "ranking" else {}
    own |= {"tags": tags} if name == "token-classification" else {}
    empty = Split(ids, None, labels, per_token=kind.per_token, **own)
    split = kind.answered(outputs.numpy(), empty)
    assert agreement(kind).score(outputs.numpy(), split) == pytest.approx(1)
    outputs.requires_grad_()
    batch = kind.doubted(outputs, collate(split, np.arange(2), 0), torch.Generator().manual_seed(0))
    kind.scoring_loss(outputs, batch).backward()
    assert (outputs.grad.abs() > 0).any()
