"""Texts with any number of labels: what files say, and what is refused."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, Features, Sequence, Value
from secateur.errors import InputError
from secateur.tasks import Columns, load_task
from secateur.tasks.class_order import in_order_of
from secateur.tasks.multilabel import load_multilabel

ROWS = [("good film", ["pos", "film"]), ("a film", ["film"]), ("truly", []), ("bad film", ["neg", "film"])] * 5


def jsonl(path, rows):
    path.write_text("".join(json.dumps({"text": text, "labels": labels}) + "\n" for text, labels in rows))
    return path


def table(path, header, rows):
    path.write_text("\n".join([header, *rows]))
    return path


def read(path, **columns):
    loaded = load_multilabel(path, Columns(**columns), 0)
    parts = loaded.train, loaded.report["validation"]
    texts = [text for part in parts for text in part.first]
    return loaded, dict(zip(texts, np.concatenate([part.labels for part in parts]).tolist(), strict=True))


EXPECTED = {"good film": [1, 0, 1], "a film": [1, 0, 0], "truly": [0, 0, 0], "bad film": [1, 1, 0]}


def test_lists_of_names_and_of_numbers_and_columns_say_the_same(tmp_path):
    names = ("film", "neg", "pos")
    loaded, found = read(jsonl(tmp_path / "names.jsonl", ROWS))
    assert (loaded.kind, loaded.label_names, loaded.metric) == ("multilabel", names, "micro_f1")
    assert found == EXPECTED

    encoded = [(text, EXPECTED[text]) for text, _ in ROWS]
    loaded, found = read(jsonl(tmp_path / "numbers.jsonl", encoded))
    assert loaded.label_names == ("0", "1", "2")
    assert found == EXPECTED

    lines = [f"{text},{','.join(map(str, labels))}" for text, labels in encoded]
    path = table(tmp_path / "columns.csv", f"text,{','.join(names)}", lines)
    loaded, found = read(path, label="film, neg,pos")
    assert loaded.label_names == names
    assert found == EXPECTED


def test_numbers_of_classes_with_names_are_those_names(tmp_path):
    features = Features({"text": Value("string"), "labels": Sequence(ClassLabel(names=["pos", "neg", "film"]))})
    rows = {"text": [text for text, _ in ROWS], "labels": [labels for _, labels in ROWS]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "data.parquet")
    loaded, found = read(tmp_path / "data.parquet")
    assert loaded.label_names == ("pos", "neg", "film")
    assert found == {"good film": [1, 0, 1], "a film": [0, 0, 1], "truly": [0, 0, 0], "bad film": [0, 1, 1]}


def test_booleans_are_numbers(tmp_path):
    rows = {"text": ["good", "bad"] * 5, "a": [True, False] * 5, "b": [True, True] * 5}
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "data.parquet")
    assert read(tmp_path / "data.parquet", label="a,b")[1] == {"good": [1, 1], "bad": [0, 1]}


def test_rare_labels_keep_their_share(tmp_path, tiny_tokenizer):
    rows = [(f"film {i}", ["often", "rare"] if i % 10 == 0 else ["often"] * (i % 2)) for i in range(1, 101)]
    path = jsonl(tmp_path / "data.jsonl", rows)
    task = load_task("multilabel", tiny_tokenizer, seed=0, max_length=24, data=path)
    shares = [part.labels[:, 1].mean() for part in (task.train, task.selection, task.report["validation"])]
    assert shares == pytest.approx([0.1] * 3, abs=0.06)


def test_labels_take_the_order_of_a_model(tmp_path, tiny_tokenizer):
    task = load_task(
        "multilabel",
        tiny_tokenizer,
        seed=0,
        max_length=24,
        data=jsonl(tmp_path / "data.jsonl", ROWS * 3),
        columns=Columns(metric="f1", positive="POS"),
    )
    assert task.metric_title == "f1 of pos"
    turned = in_order_of(task, ("Pos", "film", "neg"))
    assert turned.label_names == ("pos", "film", "neg")
    assert turned.metric_title == "f1 of pos"
    for name, column in zip(task.label_names, task.train.labels.T, strict=True):
        assert turned.train.labels[:, turned.label_names.index(name)].tolist() == column.tolist()


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("a", ["x"]), ("b", "y")], {}, r"row 2 of .* must hold a list of labels in column 'labels' .*, got 'y'"),
        ([("a", ["x"]), ("b", None)], {}, r"row 2 of .* must hold a list of labels .*, got nothing"),
        ([("a", ["x"]), ("b", [" "])], {}, "row 2 of .* holds an empty label in column 'labels'"),
        ([("a", [0, 1]), ("b", [1])], {}, "row 2 of .* must hold 2 labels of 0 or 1 in column 'labels'"),
        ([("a", [0, 1]), ("b", [1, 2])], {}, r"row 2 of .* must hold 2 labels of 0 or 1 .*, got \[1, 2\]"),
        ([("a", ["x"]), ("b", [1])], {}, r"row 1 of .* must hold 1 labels of 0 or 1 .* or names of labels"),
        ([("a", []), ("b", [])], {}, "no row of .* has a label; a task needs at least one"),
        ([("a", [0, 1]), ("b", [0, 0])], {}, "no row of .* has the label '0'; leave it out"),
        ([("a", ["x"]), ("b", ["x"])], {}, "all 2 rows of .* have the same labels"),
        (ROWS, {"metric": "accuracy"}, "the metric accuracy judges a classification, but the labels are a multilabel"),
        (ROWS, {"metric": "f1"}, r"the metric f1 is of one label; say by `positive` of which \(film, neg, pos\)"),
        (ROWS, {"positive": "pos"}, "`positive` names the label that a metric is of, but micro_f1 is of all"),
        (ROWS, {"metric": "f1", "positive": "pso"}, "class 'pso'"),
        (ROWS, {"kind": "regression"}, "'multilabel' is of one kind, got the kind regression"),
        (ROWS, {"label": "a,b"}, "has no column 'a'"),
        (ROWS, {"label": "a,a"}, "name one of them twice"),
        (ROWS, {"label": "text,labels"}, "column 'text' of .* must hold 0 or 1 for each text, but row 1 holds 'good"),
    ],
)
def test_what_is_no_task_is_refused(tmp_path, rows, columns, message):
    with pytest.raises(InputError, match=message):
        load_multilabel(jsonl(tmp_path / "data.jsonl", rows), Columns(**columns), 0)


def test_a_precision_belongs_to_a_recall(tmp_path, tiny_tokenizer):
    path = jsonl(tmp_path / "data.jsonl", ROWS)
    with pytest.raises(
        InputError, match=r"the precision 0.5 is one to ask for a recall at, but the metric is micro_f1"
    ):
        load_task("multilabel", tiny_tokenizer, seed=0, max_length=24, data=path, columns=Columns(precision=0.5))


def test_validation_must_be_like_train(tmp_path):
    jsonl(tmp_path / "train.jsonl", ROWS)
    jsonl(tmp_path / "validation.jsonl", [("a", ["other"])])
    with pytest.raises(
        InputError, match=r"row 1 of .*validation.jsonl has the label 'other', which .*train.jsonl does"
    ):
        load_multilabel(tmp_path, Columns(), 0)
    jsonl(tmp_path / "validation.jsonl", [("a", [1, 0])])
    jsonl(tmp_path / "train.jsonl", [("a", [1, 0, 1]), ("b", [0, 1, 0])])
    with pytest.raises(InputError, match=r"validation.jsonl holds 2 labels for each text, but .*train.jsonl 3"):
        load_multilabel(tmp_path, Columns(), 0)
