import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from secateur.errors import InputError
from secateur.tasks import METRICS, TASKS
from secateur.tasks.glue import GLUE, load_glue

ROWS = {"sentence": ["good", "bad", "fine", "poor"], "label": [1, 0, 1, 0], "idx": [0, 1, 2, 3]}


def write(folder, **splits):
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in splits.items():
        pq.write_table(pa.table(rows), folder / f"{split}.parquet")
    return folder


def test_nine_tasks_with_the_metrics_of_the_benchmark():
    assert list(GLUE) == ["cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli"]
    assert set(GLUE) < set(TASKS)
    metrics = {name: task.metric for name, task in GLUE.items() if task.metric != "accuracy"}
    assert metrics == {"cola": "matthews", "stsb": "spearman", "mrpc": "f1", "qqp": "f1"}
    for task in GLUE.values():
        assert (METRICS[task.metric].kind.name == "regression") == (task.label_names == ("score",))


@pytest.mark.parametrize(
    ("name", "train", "report", "pair"),
    [("rte", 2490, 277, True), ("sst2", 67349, 872, False), ("cola", 8551, 1043, False), ("stsb", 5749, 1500, True)],
)
def test_real_files_have_the_published_sizes(shared, name, train, report, pair):
    texts = load_glue(name, shared)
    assert (len(texts.train), len(texts.report["validation"])) == (train, report)
    assert (texts.train.second is not None) == pair
    assert texts.train.labels.dtype == (np.float32 if name == "stsb" else np.int64)


def test_label_numbers_mean_what_they_say(shared):
    sst2, rte, cola, stsb = (load_glue(name, shared) for name in ("sst2", "rte", "cola", "stsb"))
    validation = sst2.report["validation"]
    first = validation.first.index("it 's a charming and often affecting journey . ")
    assert sst2.label_names[validation.labels[first]] == "positive"
    # "No Weapons of Mass Destruction Found in Iraq Yet." does not entail that they were found.
    assert rte.train.second is not None
    assert rte.train.second[0] == "Weapons of Mass Destruction Found in Iraq."
    assert rte.label_names[rte.train.labels[0]] == "not_entailment"
    assert cola.label_names[cola.train.labels[0]] == "acceptable"
    assert stsb.kind == "regression"
    assert (stsb.train.labels.min(), stsb.train.labels.max()) == (0.0, 5.0)


def test_a_partial_train_file_is_not_taken_for_the_published_one(shared):
    match = r"qnli lacks train.parquet, which GLUE's qnli needs; the folder holds: train_subset2000.parquet, validation"
    with pytest.raises(InputError, match=match):
        load_glue("qnli", shared)


def test_mnli_reports_on_both_validation_splits(tmp_path):
    rows = {"premise": ["a", "b", "c"], "hypothesis": ["d", "e", "f"], "label": [0, 1, 2]}
    write(tmp_path / "mnli", train=rows, validation_matched=rows, validation_mismatched=rows)
    texts = load_glue("mnli", tmp_path)
    assert list(texts.report) == ["validation_matched", "validation_mismatched"]
    assert texts.label_names == ("entailment", "neutral", "contradiction")


def test_the_folder_of_the_task_itself_is_taken_too(tmp_path):
    write(tmp_path, train=ROWS, validation=ROWS)
    assert load_glue("sst2", tmp_path).train.first == ROWS["sentence"]


def test_missing_folder(tmp_path):
    with pytest.raises(
        InputError, match=r"the data folder .*absent does not exist; GLUE's rte is read from rte/train.pa"
    ):
        load_glue("rte", tmp_path / "absent")


def test_missing_column_lists_those_there_are(tmp_path):
    write(tmp_path, train=ROWS, validation=ROWS)
    with pytest.raises(InputError, match=r"train.parquet has no column 'sentence1'; its columns: sentence, label, idx"):
        load_glue("rte", tmp_path)


def test_labels_of_the_hidden_test_set(tmp_path):
    write(tmp_path, train=ROWS, validation=ROWS | {"label": [1, 0, -1, -1]})
    match = (
        r"validation.parquet holds the label -1, but its labels are 0 to 1 \(negative, positive\); take a split with"
    )
    with pytest.raises(InputError, match=match):
        load_glue("sst2", tmp_path)


def test_labels_of_the_wrong_kind(tmp_path):
    write(tmp_path / "sst2", train=ROWS | {"label": [0.5, 0.0, 1.0, 1.0]}, validation=ROWS)
    with pytest.raises(InputError, match=r"holds the label 0.5, but its labels are 0 to 1"):
        load_glue("sst2", tmp_path)
    rows = {"sentence1": ["a"], "sentence2": ["b"], "label": ["high"]}
    write(tmp_path / "stsb", train=rows, validation=rows)
    with pytest.raises(InputError, match="must hold numbers as labels, but holds 'high'; take STS-B's own files"):
        load_glue("stsb", tmp_path)


def test_missing_labels(tmp_path):
    write(tmp_path, train=ROWS, validation=ROWS | {"label": [1, 0, None, None]})
    with pytest.raises(InputError, match=r"'label' of .*validation.parquet lacks 2 of 4 labels, first in row 3; drop"):
        load_glue("sst2", tmp_path)


def test_one_class(tmp_path):
    write(tmp_path, train=ROWS | {"label": [1, 1, 1, 1]}, validation=ROWS)
    with pytest.raises(InputError, match=r"all 4 labels of .*train.parquet are the same; a task needs at least two"):
        load_glue("sst2", tmp_path)


def test_damaged_and_empty_files(tmp_path):
    write(tmp_path, validation=ROWS)
    (tmp_path / "train.parquet").write_bytes(b"PAR1 this is not parquet")
    with pytest.raises(InputError, match=r"train.parquet cannot be read as parquet \(.+\); write the file again"):
        load_glue("sst2", tmp_path)
    write(tmp_path, train={"sentence": pa.array([], pa.string()), "label": pa.array([], pa.int64())})
    with pytest.raises(InputError, match=r"train.parquet holds no rows; a data set needs at least"):
        load_glue("sst2", tmp_path)


def test_no_network_is_one_line_that_names_data(tmp_path):
    code = (
        "import time; start = time.perf_counter()\n"
        "from secateur.tasks.glue import load_glue\n"
        "try:\n    load_glue('rte', None)\nexcept ValueError as error:\n    print(type(error).__name__, error)\n"
    )
    unreachable = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}  # port 9 discards; nobody listens
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | unreachable,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("InputError cannot reach the hub for GLUE's rte (")
    assert done.stdout.endswith("); give a folder that holds rte/train.parquet with `data`, or go online once\n")
    assert "Traceback" not in done.stderr
    assert "Retry" not in done.stderr


def test_labels_may_be_names_and_a_files_own_order_of_them_counts(tmp_path):
    import datasets

    expected = [1, 0, 0, 1]
    names = ["positive", "negative"]  # the published order is the other one
    features = datasets.Features({"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    own = {"sentence": list("abcd"), "label": [1 - label for label in expected]}
    for split in ("train", "validation"):
        datasets.Dataset.from_dict(own, features=features).to_parquet(tmp_path / f"{split}.parquet")
    assert load_glue("sst2", tmp_path).train.labels.tolist() == expected
    rows = [f"{text}\t{('negative', 'positive')[label]}" for text, label in zip("abcd", expected, strict=True)]
    for split in ("train", "validation"):
        (tmp_path / f"{split}.parquet").unlink()
        (tmp_path / f"{split}.tsv").write_text("\n".join(["sentence\tlabel", *rows]))
    assert load_glue("sst2", tmp_path).train.labels.tolist() == expected
