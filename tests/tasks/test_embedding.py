"""Texts without labels, pairs with scores, and queries in BEIR's layout, from files."""

import json

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.tasks import Columns, load_task
from secateur.tasks.cache import load_cached, store
from secateur.tasks.examples import Examples, Retrieval
from secateur.tasks.relations import Pairs, Relevance

TEXTS = [f"{a} {b} {c}" for a in ("a", "not", "very") for b in ("good", "bad") for c in ("film", "truly", "very")]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def load(data, tokenizer, prompts=None, cache=None, **columns):
    return load_task(
        "embedding",
        tokenizer,
        seed=0,
        max_length=24,
        data=data,
        columns=Columns(**columns),
        prompts=prompts,
        cache=cache,
    )


def test_a_file_of_texts_needs_no_labels(tiny_tokenizer, tmp_path):
    for path in (write(tmp_path / "texts.jsonl", [{"text": text} for text in TEXTS]), tmp_path / "texts.txt"):
        if path.suffix == ".txt":
            path.write_text("\n\n".join(TEXTS))
        task = load(path, tiny_tokenizer)
        assert (task.kind.name, task.metric.name) == ("embedding", "agreement")
        splits = (task.train, task.selection, *task.report.values())
        assert sum(map(len, splits)) == len(TEXTS)
        assert all(split.labels.shape == (len(split), 0) and split.relations is None for split in splits)


def test_files_of_a_folder_are_read_together_and_pairs_one_by_one(tiny_tokenizer, tmp_path):
    write(tmp_path / "one.jsonl", [{"text": text} for text in TEXTS])
    write(tmp_path / "two.jsonl", [{"text": f"{text} truly", "text2": TEXTS[0]} for text in TEXTS])
    task = load(tmp_path, tiny_tokenizer)
    assert sum(map(len, (task.train, task.selection, *task.report.values()))) <= 2 * len(TEXTS)
    (tmp_path / "one.jsonl").unlink()
    (tmp_path / "two.jsonl").unlink()
    with pytest.raises(InputError, match=r"holds no file of texts that ends in \.arrow.*the folder holds: nothing"):
        load(tmp_path, tiny_tokenizer)


def test_pairs_with_scores_stay_pairs(tiny_tokenizer, tmp_path):
    rows = [{"one": text, "other": TEXTS[0], "alike": i / 7} for i, text in enumerate(TEXTS)]
    write(tmp_path / "train.jsonl", rows)
    write(tmp_path / "validation.jsonl", rows[:5])
    named = {"text": "one", "pair": "other", "label": "alike", "metric": "sts_spearman"}
    task = load(tmp_path, tiny_tokenizer, cache=tmp_path / "cache", **named)
    report = task.report["validation"]
    assert isinstance(report.relations, Pairs)
    assert report.relations.scores == pytest.approx(np.arange(5) / 7)
    assert (len(report), report.examples) == (10, 5)
    assert report.input_ids[3].tolist() == tiny_tokenizer(TEXTS[0])["input_ids"]
    again = load(tmp_path, tiny_tokenizer, cache=tmp_path / "cache", **named)
    assert again.fingerprint == task.fingerprint
    np.testing.assert_array_equal(again.report["validation"].relations.scores, report.relations.scores)


def beir(folder, qrels="query-id\tcorpus-id\tscore\nq1\td2\t2\nq1\td3\t0\nq2\td0\t1\n"):
    write(folder / "corpus.jsonl", [{"_id": f"d{i}", "title": "a", "text": text} for i, text in enumerate(TEXTS)])
    write(folder / "queries.jsonl", [{"_id": f"q{i}", "text": text} for i, text in enumerate(TEXTS[:3])])
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_beirs_layout(tiny_tokenizer, tmp_path):
    prompts = {"": "", "query": "not ", "document": "very "}
    task = load(beir(tmp_path), tiny_tokenizer, prompts)
    report = task.report["validation"]
    assert isinstance(report.relations, Relevance)
    assert report.relations.grades == ({2: 2.0}, {0: 1.0})
    assert (len(report), report.examples) == (2 + len(TEXTS), 2)
    read = [tiny_tokenizer.decode(report.input_ids[row], skip_special_tokens=True) for row in (0, 2)]
    assert read == [f"not {TEXTS[1]}", f"very a {TEXTS[0]}"]
    assert len(task.train) + len(task.selection) == len(TEXTS)
    store(tmp_path / "cached.npz", {"report": report}, 0)
    (cached, _) = load_cached(tmp_path / "cached.npz")
    assert cached["report"].relations == report.relations


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("q1\tnone\t1\n", "line 1 of .*test.tsv is 'q1.*expected the id of a query"),
        ("q1\td2\n", "with tabs between them"),
        ("q1\td2\t0\n", "names no relevant document"),
    ],
)
def test_damaged_relevance(qrels, message, tiny_tokenizer, tmp_path):
    with pytest.raises(InputError, match=message):
        load(beir(tmp_path, qrels), tiny_tokenizer)


def test_bad_input_is_said_in_a_line(tiny_tokenizer, tmp_path):
    path = write(tmp_path / "texts.jsonl", [{"body": text, "verdict": "x"} for text in TEXTS])
    with pytest.raises(InputError, match=r"has no column 'text'; its columns: body, verdict"):
        load(path, tiny_tokenizer)
    with pytest.raises(InputError, match="needs `data`: a file with a column of texts"):
        load(None, tiny_tokenizer)
    with pytest.raises(InputError, match="sts_spearman needs pairs with a score each"):
        load(path, tiny_tokenizer, text="body", metric="sts_spearman")
    with pytest.raises(InputError, match="how alike two texts are is a number"):
        load(path, tiny_tokenizer, text="body", pair="body", label="verdict")
    with pytest.raises(InputError, match="judges a classification"):
        load(path, tiny_tokenizer, text="body", metric="accuracy")
    with pytest.raises(InputError, match="a single text"):
        load(write(tmp_path / "one.jsonl", [{"text": "a"}] * 3), tiny_tokenizer)


def test_rows_are_taken_in_order():
    rows = Examples(["a", "b", "c"], ["d", "e", "f"], np.arange(3.0)).take(np.array([2, 0]))
    assert (rows.first, rows.second, rows.scores.tolist()) == (["c", "a"], ["f", "d"], [2, 0])
    taken = Retrieval(["a", "b"], ["c"], ({0: 1.0}, {})).take(np.array([1]))
    assert (taken.queries, taken.documents, taken.grades) == (["b"], ["c"], ({},))
