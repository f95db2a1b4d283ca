"""Data as they lie: folders, several files, patterns; and rows that belong together."""

from __future__ import annotations

import json

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.tasks import Columns, Sizes, load_task
from secateur.tasks.local import load_local
from secateur.tasks.near_duplicates import NearDuplicates
from secateur.tasks.parts import find_parts, report_origin
from secateur.tasks.splitting import divide, split_off_selection
from secateur.tasks.tables import READERS
from secateur.tasks.tagging import load_tagging
from secateur.tasks.texts import Texts


def rows(first, count=20):
    """Texts of one word each, in which no other one is."""
    return [{"text": f"w{first + i:04}", "label": "ab"[i % 2]} for i in range(count)]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, content)))


def sizes(data, **columns):
    loaded = load_local(data, Columns(**columns), seed=0)
    return len(loaded.train), len(loaded.report["validation"]), loaded.report_origin


def test_parts_of_one_table(tmp_path):
    for month in range(3):
        write(tmp_path / f"2024-{month}.jsonl", rows(20 * month))
    assert sizes(tmp_path) == (48, 12, f"a fifth of the 3 files of {tmp_path.name}, drawn by the seed")
    assert sizes(tmp_path / "2024-[01].jsonl")[:2] == (32, 8)
    loaded = load_local(tmp_path, Columns(), seed=0)
    everything = [*loaded.train.first, *loaded.report["validation"].first]
    assert sorted(everything) == [row["text"] for row in rows(0, 60)]


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (["train-00000-of-00002", "train-00001-of-00002"], ["validation-00000-of-00001"]),
        (["train/a", "train/b"], ["validation/c"]),
        (["train_1", "train_2"], ["dev"]),
        (["train/0"], ["valid/0", "valid/1"]),
    ],
)
def test_files_of_each_split(tmp_path, train, validation):
    for number, name in enumerate([*train, *validation, "test"]):
        write(tmp_path / f"{name}.jsonl", rows(20 * number))
    found = sizes(tmp_path)
    assert found[:2] == (20 * len(train), 20 * len(validation))


def test_what_datasets_saves(tmp_path):
    both = {split: datasets.Dataset.from_list(rows(100 * k)) for k, split in enumerate(("train", "validation"))}
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["b", "a"])})
    saved = datasets.DatasetDict({name: part.cast(features) for name, part in both.items()})
    saved.save_to_disk(tmp_path / "saved")
    loaded = load_local(tmp_path / "saved", Columns(), seed=0)
    assert (len(loaded.train), len(loaded.report["validation"]), loaded.label_names) == (20, 20, ("b", "a"))


def test_labels_of_several_files_are_of_one_type(tmp_path):
    write(tmp_path / "a.jsonl", [{"text": f"w{i:03}", "label": i % 2} for i in range(20)])
    write(tmp_path / "b.jsonl", [{"text": f"v{i:03}", "label": float(i % 3)} for i in range(21)])
    assert load_local(tmp_path, Columns(), seed=0).label_names == ("0", "1", "2")
    write(tmp_path / "b.jsonl", [{"text": f"v{i:03}", "label": "yes"} for i in range(20)])
    with pytest.raises(InputError, match=r"column 'label' of the 2 files of .* must hold strings or numbers, got"):
        load_local(tmp_path, Columns(), seed=0)
    write(tmp_path / "b.jsonl", [{"text": f"v{i:03}", "label": None} for i in range(20)])
    with pytest.raises(InputError, match=r"column 'label' of .*b.jsonl lacks 20 of 20 labels, first in row 1"):
        load_local(tmp_path, Columns(), seed=0)


def test_tags_of_several_files(tmp_path):
    for number, tag in enumerate(("B-X", "B-Y")):
        lines = [f"w{number}{i:03}\t{tag if i % 2 else 'O'}\n" for i in range(20)]
        (tmp_path / f"{number}.conll").write_text("\n".join(lines))
    loaded = load_tagging(tmp_path, Columns(), seed=0)
    assert loaded.label_names == ("B-X", "B-Y", "O")
    assert len(loaded.train) + len(loaded.report["validation"]) == 40


def test_folders_that_are_refused(tmp_path):
    def message(folder):
        with pytest.raises(InputError) as caught:
            find_parts(folder, READERS)
        return str(caught.value)

    assert message(tmp_path / "*.csv") == (
        f"no file is called {tmp_path / '*.csv'}; give the path of a file or a folder, or another pattern"
    )
    write(tmp_path / "types" / "a.jsonl", rows(0))
    write(tmp_path / "types" / "b.json", rows(0))
    assert "holds files of several types (.json, .jsonl); keep those of one" in message(tmp_path / "types")
    write(tmp_path / "half" / "train-1.jsonl", rows(0))
    assert "lacks validation.csv" in message(tmp_path / "half")
    write(tmp_path / "other" / "test.jsonl", rows(0))
    assert "lacks train.csv" in message(tmp_path / "other")
    write(tmp_path / "both" / "train.jsonl", rows(0))
    write(tmp_path / "both" / "train" / "0.jsonl", rows(0))
    assert "holds train.jsonl, train/0.jsonl; keep one form of the train split" in message(tmp_path / "both")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "the folder holds: nothing" in message(empty)


def test_where_the_report_comes_from(tmp_path):
    one, two = tmp_path / "a.csv", tmp_path / "b.csv"
    assert report_origin({"train": (one,)}) == "a fifth of the file a.csv, drawn by the seed"
    assert report_origin({"train": (one,), "validation": (two, one)}) == f"the 2 files of {tmp_path.name}"


def test_no_group_is_on_two_sides(tmp_path, tokenizer):
    path = tmp_path / "all.jsonl"
    content = [row | {"user": f"u{i // 5}"} for i, row in enumerate(rows(0, 200))]
    write(path, content)
    user = {row["text"]: row["user"] for row in content}
    task = load_local(path, Columns(group="user"), seed=0)
    divided = split_off_selection(task.train, Sizes(selection_limit=30), np.random.default_rng(0))
    sides = [task.train.take(divided.kept), task.train.take(divided.held_out), task.report["validation"]]
    users = [{user[text] for text in side.first} for side in sides]
    assert [len(side) for side in sides] == [130, 30, 40]
    assert len(set.union(*users)) == sum(map(len, users)) == 40
    with_groups = load_task("local", tokenizer, data=path, columns=Columns(group="user"), seed=0, max_length=32)
    without = load_task("local", tokenizer, data=path, seed=0, max_length=32)
    assert with_groups.fingerprint != without.fingerprint


def test_groups_of_sentences_and_questions(tmp_path, tokenizer):
    words = [{"tokens": [f"w{i:03}", "x"], "ner_tags": ["O", "B-X"], "page": i // 4} for i in range(80)]
    write(tmp_path / "all.jsonl", words)
    loaded = load_tagging(tmp_path / "all.jsonl", Columns(group="page"), seed=0)
    pages = [{int(words[0][1:]) // 4 for words in side.words} for side in (loaded.train, loaded.report["validation"])]
    assert not pages[0] & pages[1]
    conll = "\n".join(f"a{i:03} d{i // 4} O\nb d{i // 4} B-X\n" for i in range(80))
    (tmp_path / "all.conll").write_text(conll)
    loaded = load_tagging(tmp_path / "all.conll", Columns(group="2"), seed=0)
    pages = [{int(words[0][1:]) // 4 for words in side.words} for side in (loaded.train, loaded.report["validation"])]
    assert not pages[0] & pages[1]
    with pytest.raises(InputError, match=r"row 1 of .* has several groups in column '1': a000, b; each row belongs to"):
        load_tagging(tmp_path / "all.conll", Columns(group="1"), seed=0)
    answer = {"text": ["is"], "answer_start": [5]}
    asked = [{"question": "q", "context": f"c{i:03} is", "answers": answer, "title": f"t{i // 4}"} for i in range(80)]
    for split in ("train", "validation"):
        write(tmp_path / "squad" / f"{split}.jsonl", asked)
    columns = Columns(group="title")
    task = load_task("squad", tokenizer, data=tmp_path / "squad", columns=columns, seed=0, max_length=32)
    titles = [{int(c[1:4]) // 4 for c in split.passages.contexts} for split in (task.train, task.selection)]
    assert not titles[0] & titles[1]
    assert len(task.selection) == 16


@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.lists(st.integers(0, 3), min_size=1, max_size=3)), min_size=2, max_size=40
    ),
    st.floats(0.05, 0.9),
    st.integers(0, 99),
)
@settings(max_examples=100, deadline=None)
def test_neither_a_group_nor_a_text_is_on_two_sides(content, fraction, seed):
    texts = [" ".join(f"w{word}" for word in words) for _, words in content]
    groups = np.unique([group for group, _ in content], return_inverse=True)[1]
    divided = divide(
        Texts(texts, None, np.zeros(len(texts), np.int64), groups), fraction, None, np.random.default_rng(seed)
    )
    kept, held = set(divided.kept.tolist()), set(divided.held_out.tolist())
    assert not kept & held
    assert len(kept) + len(held) + divided.left_out == len(texts)
    assert not set(groups[list(kept)]) & set(groups[list(held)])
    for i in kept:
        for j in held:
            inside = NearDuplicates.among([(texts[i],), (texts[j],)])
            assert len(inside.whole) == 2


@pytest.mark.parametrize(
    ("user", "column", "message"),
    [
        ("one", "user", "the 20 rows of the train split are of one group, which is on one side of a split only"),
        (None, "user", r"column 'user' of .* lacks the groups of 20 of 20 rows, first of row 1; a row that belongs"),
        ("one", "author", r"has no column 'author'; its columns: text, label, user"),
    ],
)
def test_groups_that_are_refused(tmp_path, tokenizer, user, column, message):
    write(tmp_path / "all.jsonl", [row | {"user": user} for row in rows(0)])
    with pytest.raises(InputError, match=message):
        load_task("local", tokenizer, data=tmp_path / "all.jsonl", columns=Columns(group=column), seed=0, max_length=32)


def test_published_columns_have_no_groups(tokenizer):
    with pytest.raises(
        InputError, match="`group_column` names a column of local files with labels or of questions, but the task"
    ):
        load_task("demo", tokenizer, columns=Columns(group="user"), seed=0, max_length=32)
