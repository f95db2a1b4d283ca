import gzip
import json
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from secateur.errors import InputError
from secateur.tasks import Columns, load_task
from secateur.tasks.local import load_local

TEXTS = ["one, two", 'he said "no"', "three\nlines", "ünï", "007", "", "seven", "eight", "nine", "ten"]
CLASSES = ["yes", "no"] * 5


def write(path, **columns):
    names, rows = list(columns), list(zip(*columns.values(), strict=True))
    if path.suffix == ".csv":
        quoted = [",".join('"' + str(cell).replace('"', '""') + '"' for cell in row) for row in [names, *rows]]
        path.write_text("\n".join(quoted) + "\n", encoding="utf-8")
    elif path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(names, row, strict=True))) for row in rows]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    else:
        pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_every_file_type_gives_the_same_task(tmp_path, ending):
    for split in ("train", "validation"):
        write(tmp_path / f"{split}.{ending}", text=TEXTS, other=TEXTS[::-1], label=CLASSES)
    task = load_local(tmp_path, Columns(pair="other"), seed=0)
    assert (task.kind, task.label_names, task.metric) == ("classification", ("no", "yes"), "accuracy")
    assert task.train.first == TEXTS
    assert task.report["validation"].second == TEXTS[::-1]
    assert task.train.labels.tolist() == [1, 0] * 5


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        ([3, 1, 10, 3, 1], "classification", ("1", "3", "10")),
        ([1.0, 0.0, 1.0, 0.0, 1.0], "classification", ("0", "1")),
        ([0.5, 1.0, 2.0, 3.0, 4.25], "regression", ("score",)),
    ],
)
def test_the_kind_is_read_off_the_labels(tmp_path, ending, labels, kind, names):
    task = load_local(write(tmp_path / f"all.{ending}", text=TEXTS[:5] * 4, label=labels * 4), Columns(), seed=0)
    assert (task.kind, task.label_names) == (kind, names)
    assert task.train.labels.dtype == (np.float32 if kind == "regression" else np.int64)


def test_a_single_file_is_split_by_the_seed_with_every_class_at_its_share(tmp_path):
    path = write(tmp_path / "all.csv", text=[f"text {i}" for i in range(100)], label=["a"] * 70 + ["b"] * 30)
    task, again, other = (load_local(path, Columns(), seed=seed) for seed in (0, 0, 1))
    report = task.report["validation"]
    assert (len(task.train), len(report)) == (80, 20)
    assert report.labels.sum() == 6
    assert set(task.train.first) | set(report.first) == {f"text {i}" for i in range(100)}
    assert again.report["validation"].first == report.first != other.report["validation"].first


def test_numbers_can_be_asked_for_as_regression(tmp_path):
    path = write(tmp_path / "all.csv", text=TEXTS, label=range(10))
    task = load_local(path, Columns(kind="regression", metric="pearson"), seed=0)
    assert (task.kind, task.metric, task.label_names) == ("regression", "pearson", ("score",))


def test_a_class_may_look_like_a_number_in_one_split_only(tmp_path):
    write(tmp_path / "train.csv", text=TEXTS, label=["1", "x"] * 5)
    write(tmp_path / "validation.csv", text=TEXTS[:2], label=["1", "1"])
    assert load_local(tmp_path, Columns(), seed=0).report["validation"].labels.tolist() == [0, 0]


def test_a_byte_order_mark_and_empty_lines_are_passed_over(tmp_path):
    (tmp_path / "all.csv").write_bytes(
        b"\xef\xbb\xbftext,label\na,x\n\nb,y\n" + "".join(f"c{i},x\nd{i},y\n" for i in range(4)).encode()
    )
    assert len(load_local(tmp_path / "all.csv", Columns(), seed=0).train) == 8


def failing(tmp_path, columns=None, ending="csv", match="", **contents):
    path = write(tmp_path / f"all.{ending}", **contents)
    with pytest.raises(InputError, match=match) as caught:
        load_local(path, columns or Columns(), seed=0)
    assert "\n" not in str(caught.value)


def test_no_data():
    with pytest.raises(
        InputError, match=r"'local' needs `data`: a folder with train.csv and validation.csv, or a single"
    ):
        load_local(None, Columns(), seed=0)


def test_missing_file_and_other_endings(tmp_path):
    with pytest.raises(InputError, match=r"absent.csv does not exist; give the path of a .arrow, .csv, .*, .tsv file"):
        load_local(tmp_path / "absent.csv", Columns(), seed=0)
    (tmp_path / "all.xlsx").touch()
    with pytest.raises(InputError, match=r"all.xlsx ends in '.xlsx'; known file types: .arrow, .csv, .*, .tsv, each"):
        load_local(tmp_path / "all.xlsx", Columns(), seed=0)


def test_a_folder_needs_one_file_of_each_split(tmp_path):
    write(tmp_path / "train.csv", text=TEXTS, label=CLASSES)
    match = r"lacks validation.csv, .*, validation.parquet or validation.arrow; the folder holds: train.csv"
    with pytest.raises(InputError, match=match):
        load_local(tmp_path, Columns(), seed=0)
    write(tmp_path / "train.jsonl", text=TEXTS, label=CLASSES)
    with pytest.raises(InputError, match=r"holds train.csv, train.jsonl; keep one train file"):
        load_local(tmp_path, Columns(), seed=0)


@pytest.mark.parametrize("columns", [Columns("sentence"), Columns(pair="sentence"), Columns(label="sentence")])
def test_missing_column(tmp_path, columns):
    match = r"all.csv has no column 'sentence'; its columns: text, label"
    failing(tmp_path, columns, match=match, text=TEXTS, label=CLASSES)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_empty_file(tmp_path, ending):
    failing(tmp_path, ending=ending, match=f"all.{ending} holds no rows", text=[], label=[])


def test_one_class(tmp_path):
    failing(tmp_path, match=r"all 10 labels of .*all.csv are the same", text=TEXTS, label=["yes"] * 10)
    failing(tmp_path, Columns(kind="regression"), match="all 10 labels", text=TEXTS, label=[2.5] * 10)


def test_missing_labels(tmp_path):
    match = r"column 'label' of .* lacks 2 of 10 labels, first in row 4; drop these rows or label them"
    failing(tmp_path, match=match, text=TEXTS, label=["a", "b", "a", "", "b", "", "a", "b", "a", "b"])
    failing(tmp_path, match=match, text=TEXTS, label=["1", "0", "1", "NaN", "0", "", "1", "0", "1", "0"])
    failing(tmp_path, match=match, ending="jsonl", text=TEXTS, label=[1, 0, 1, None, 0, None, 1, 0, 1, 0])
    nan = float("nan")
    failing(tmp_path, match=match, ending="parquet", text=TEXTS, label=[1.5, 0, 1, nan, 0, nan, 1, 0, 1, 0])


def test_labels_that_are_no_task(tmp_path):
    failing(
        tmp_path,
        ending="jsonl",
        match=r"must hold strings or numbers, got {'int': 5, 'str': 5}",
        text=TEXTS,
        label=[1, "a"] * 5,
    )
    failing(tmp_path, match="holds an infinite label; drop or mend its row", text=TEXTS, label=["inf"] + ["0.5"] * 9)


def test_labels_of_another_kind(tmp_path):
    match = r"a regression needs numbers, but column 'label' of .*all.csv holds 'yes'; name another label column or set"
    failing(tmp_path, Columns(kind="regression"), match=match, text=TEXTS, label=CLASSES)
    match = (
        r"a classification needs classes, but column 'label' of .*all.csv holds 0.5; name another label column or set"
    )
    failing(tmp_path, Columns(kind="classification"), match=match, text=TEXTS, label=[1, 0.5] * 5)


def test_labels_not_seen_in_train(tmp_path):
    write(tmp_path / "train.csv", text=TEXTS, label=CLASSES)
    write(tmp_path / "validation.csv", text=TEXTS[:2], label=["maybe", "yes"])
    match = r"validation.csv has labels that .*train.csv does not have: maybe; train has: no, yes"
    with pytest.raises(InputError, match=match):
        load_local(tmp_path, Columns(), seed=0)


def test_texts_that_are_none(tmp_path):
    match = r"column 'text' of .* must hold texts, but 5 rows do not: row 2 holds nothing; drop or mend these rows"
    failing(tmp_path, ending="jsonl", match=match, text=["a", None] * 5, label=CLASSES)
    failing(tmp_path, ending="parquet", match="10 rows do not: row 1 holds int", text=range(10), label=CLASSES)


def test_metrics_that_do_not_fit(tmp_path):
    failing(
        tmp_path,
        Columns(metric="bleu"),
        match="unknown metric 'bleu'; known: accuracy, auroc, .*, weighted_f1$",
        text=TEXTS,
        label=CLASSES,
    )
    match = "the metric spearman judges a regression, but the labels are a classification; use accuracy, auroc, "
    failing(tmp_path, Columns(metric="spearman"), match=match, text=TEXTS, label=CLASSES)
    match = "the metric f1 needs 2 classes, but the labels have 5; say by `positive` whose is meant, or"
    failing(tmp_path, Columns(metric="f1"), match=match, text=TEXTS, label=[0, 1, 2, 3, 4] * 2)


@pytest.mark.parametrize(
    ("name", "contents", "match"),
    [
        ("a.csv", b"text,label\na,b,c\n", "line 2 of .* has 3 cells, but the header names 2 columns; put cells that"),
        ("a.csv", b"text,text\na,b\n", "names the column 'text' twice; rename one of them"),
        (
            "a.csv",
            b'text,label\n"a,b\n',
            r"the row that begins in line 2 of .*a.csv cannot be read \(unexpected end of data\); put cells that",
        ),
        (
            "a.csv",
            b"text,label\n\xff\xfe,b\n",
            r"line 2 of .*a.csv is not in UTF-8: it has the byte 0xff, which in Latin-1 .* is 'ÿ'; save",
        ),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"line 2 of .* is not JSON \(.*\); write one object per line"),
        ("a.jsonl", b'["a", 1]\n', "line 1 of .* holds a list; write one object per line"),
        ("a.parquet", b"PAR1", r"a.parquet cannot be read as parquet \(.*\); write the file again"),
    ],
)
def test_damaged_files(tmp_path, name, contents, match):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InputError, match=match) as caught:
        load_local(tmp_path / name, Columns(), seed=0)
    assert "\n" not in str(caught.value)


def test_it_is_said_where_the_report_split_comes_from(tmp_path):
    path = write(tmp_path / "train.csv", text=TEXTS, label=CLASSES)
    assert load_local(path, Columns(), seed=0).report_origin == "a fifth of the file train.csv, drawn by the seed"
    write(tmp_path / "validation.jsonl", text=TEXTS, label=CLASSES)
    assert load_local(tmp_path, Columns(), seed=0).report_origin == "the file validation.jsonl"


def labelled(tmp_path, labels, **columns):
    texts = [f"text {i}" for i in range(len(labels))]
    return load_local(write(tmp_path / "all.csv", text=texts, label=labels), Columns(**columns), seed=0)


def test_f1_is_of_the_rarer_class_or_of_the_one_that_is_named(tmp_path):
    labels = ["fraud", *["ok"] * 9] * 10
    for columns, name in (
        ({"metric": "f1"}, "fraud"),
        ({}, "fraud"),  # told beside accuracy
        ({"metric": "f1", "positive": "ok"}, "ok"),
        ({"metric": "f1", "positive": "OK"}, "ok"),
    ):
        task = labelled(tmp_path, labels, **columns)
        assert task.label_names[task.positive] == name
    assert labelled(tmp_path, [1, 1, 1, 0] * 10, metric="f1").positive == 0
    assert labelled(tmp_path, [1, 0] * 10, metric="f1").positive == 1  # none is rarer: the second
    task = labelled(tmp_path, list("abc") * 10, metric="f1", positive="a")
    assert (task.metric, task.positive) == ("f1", 0)


def test_a_detector_that_never_finds_a_fraud_has_no_f1(tmp_path, tokenizer):
    labels = ["fraud", *["ok"] * 9] * 10
    texts = [f"text {i}" for i in range(100)]
    path = write(tmp_path / "all.csv", text=texts, label=labels)

    def score(answer, **columns):
        task = load_task("local", tokenizer, seed=0, max_length=32, data=path, columns=Columns(metric="f1", **columns))
        outputs = np.eye(2)[[task.label_names.index(answer)] * 20]
        return task.metric.score(outputs, task.report["validation"]), task.metric_title

    # 2 of 20 rows are frauds: of "ok" all rows, precision is 18/20 and recall 1; of "fraud", 2/20 and 1.
    assert score("ok") == (0.0, "f1 of fraud")
    assert score("fraud") == (pytest.approx(2 * 0.1 / 1.1), "f1 of fraud")
    assert score("ok", positive="ok") == (pytest.approx(2 * 0.9 / 1.9), "f1 of ok")


def test_a_positive_class_that_is_none(tmp_path, tokenizer):
    labels = ["a", "b"] * 10
    with pytest.raises(InputError, match=r"unknown class 'c'; known: a, b$"):
        labelled(tmp_path, labels, metric="f1", positive="c")
    with pytest.raises(InputError, match=r"`positive` names the class .* of this regression is spearman; set it"):
        labelled(tmp_path, [0.5, 1.5] * 10, positive="0.5")
    with pytest.raises(InputError, match=r"`positive` names the class .* of this classification is accuracy; set it"):
        labelled(tmp_path, list("abc") * 10, positive="a")
    with pytest.raises(InputError, match=r"`positive` names the class .* but the task is demo; leave it out"):
        load_task("demo", tokenizer, seed=0, max_length=32, columns=Columns(positive="positive"))


@pytest.mark.parametrize("ending", ["parquet", "arrow", "parquet.gz"])
def test_names_of_classes_are_kept_in_the_files_order(tmp_path, ending):
    names = {"train": ["terrible", "great", "never"], "validation": ["never", "great", "terrible"]}
    for split, own in names.items():
        features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=own)})
        labels = [own.index("terrible"), own.index("great")] * 5
        made = datasets.Dataset.from_dict({"text": TEXTS, "label": labels}, features=features)
        if ending == "arrow":
            made.save_to_disk(tmp_path / "saved")
            next((tmp_path / "saved").glob("*.arrow")).rename(tmp_path / f"{split}.arrow")
            shutil.rmtree(tmp_path / "saved")
        else:
            made.to_parquet(tmp_path / f"{split}.parquet")
    if ending.endswith("gz"):
        for path in tmp_path.glob("*.parquet"):
            (tmp_path / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    task = load_local(tmp_path, Columns(), seed=0)
    assert task.label_names == ("terrible", "great", "never")
    assert task.train.labels.tolist() == task.report["validation"].labels.tolist() == [0, 1] * 5


def test_a_class_number_without_a_name(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])})
    made = datasets.Dataset.from_dict({"text": TEXTS, "label": [0, 1, -1, *[0] * 7]}, features=features)
    made.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"row 3 of .*a.parquet holds the label -1, but the file names those from"):
        load_local(tmp_path / "a.parquet", Columns(), seed=0)
