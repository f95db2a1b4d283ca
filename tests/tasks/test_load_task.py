import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.tasks import TASKS, Columns, Sizes, load_task
from secateur.tasks.splitting import stratified

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"


@pytest.fixture
def data(tmp_path):
    """Text i is one word of i % 7 + 1 letters, no two the same: as many tokens and the two special ones."""
    path = tmp_path / "all.csv"
    rows = [f"{LETTERS[i // 7] + 'bcdefg'[: i % 7]},{'good' if i % 4 else 'bad'}" for i in range(200)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def load(data, tokenizer, **arguments):
    return load_task("local", tokenizer, **({"data": data, "seed": 0, "max_length": 32} | arguments))


def same(a, b):
    for left, right in zip(splits(a), splits(b), strict=True):
        assert left.labels.dtype == right.labels.dtype
        assert left.labels.tolist() == right.labels.tolist()
        assert [row.tolist() for row in left.input_ids] == [row.tolist() for row in right.input_ids]
        assert (left.token_type_ids is None) == (right.token_type_ids is None)
        if left.token_type_ids is not None:
            assert [row.tolist() for row in left.token_type_ids] == [row.tolist() for row in right.token_type_ids]
    assert (a.fingerprint, a.truncated, a.label_names) == (b.fingerprint, b.truncated, b.label_names)


def splits(task):
    return [task.train, task.selection, *task.report.values()]


def test_unknown_task(tokenizer):
    with pytest.raises(InputError, match="unknown task 'sst-2'; known: cola, demo, embedding, local, mnli, "):
        load_task("sst-2", tokenizer, seed=0, max_length=32)


def test_registry():
    glue = {"cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli"}
    assert set(TASKS) == {"demo", "embedding", "local", "multilabel", "ranking", "tagging", "squad", "squad_v2", *glue}


def test_sizes_and_shares(data, tokenizer):
    task = load(data, tokenizer)
    assert [len(split) for split in splits(task)] == [128, 32, 40]  # a fifth for the report, a fifth of the rest
    assert [int((split.labels == 0).sum()) for split in splits(task)] == [32, 8, 10]  # a quarter is bad
    assert (task.num_labels, task.label_names, task.is_pair, task.pad_token_id) == (2, ("bad", "good"), False, 0)


def test_tokens_are_the_tokenizers(data, tokenizer):
    split = load(data, tokenizer).train
    texts = [line.split(",")[0] for line in data.read_text().splitlines()[1:]]
    rows = [row.tolist() for row in split.input_ids]
    assert len(rows) == sum(row in rows for row in tokenizer(texts)["input_ids"])
    assert split.input_ids[0].dtype == np.int32
    assert set(split.lengths) == set(range(3, 10))


def test_pairs_have_two_types_of_tokens(tmp_path, tokenizer, tokenizer_without_types):
    path = tmp_path / "all.jsonl"
    path.write_text("".join(f'{{"a": "{letter}", "b": "yz", "label": {i % 2}}}\n' for i, letter in enumerate(LETTERS)))
    task = load(path, tokenizer, columns=Columns("a", pair="b"))
    assert task.is_pair
    assert task.train.token_type_ids[0].tolist() == [0, 0, 0, 1, 1, 1]
    assert load(path, tokenizer_without_types, columns=Columns("a", pair="b")).train.token_type_ids is None


def test_long_texts_are_cut_and_counted(data, tokenizer):
    assert load(data, tokenizer).truncated == 0
    task = load(data, tokenizer, max_length=6)
    assert max(split.lengths.max() for split in splits(task)) == 6
    assert task.truncated == sum(i % 7 + 3 > 6 for i in range(200))
    assert all(row[-1] == tokenizer.sep_token_id for row in task.train.input_ids)


def test_long_pairs_are_cut_in_the_longer_text(tmp_path, tokenizer):
    path = tmp_path / "all.jsonl"
    lines = [f'{{"a": "{letter * n}", "b": "yz", "label": {n % 2}}}\n' for letter in LETTERS[:20] for n in (8, 1)]
    path.write_text("".join(lines))
    task = load(path, tokenizer, columns=Columns("a", pair="b"), max_length=8)
    assert task.truncated == 20
    long = task.train.lengths.argmax()
    assert task.train.token_type_ids[long].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_the_seed_draws_the_splits(data, tokenizer):
    same(load(data, tokenizer), load(data, tokenizer))
    other = load(data, tokenizer, seed=1)
    assert other.fingerprint != load(data, tokenizer).fingerprint
    assert [row.tolist() for row in other.selection.input_ids] != [
        row.tolist() for row in load(data, tokenizer).selection.input_ids
    ]


def test_a_limit_of_training_rows_leaves_the_selection_alone(data, tokenizer):
    whole, limited = load(data, tokenizer), load(data, tokenizer, sizes=Sizes(train_limit=16))
    assert len(limited.train) == 16
    assert (limited.train.labels == 0).sum() == 4
    assert [row.tolist() for row in limited.selection.input_ids] == [row.tolist() for row in whole.selection.input_ids]
    assert len(load(data, tokenizer, sizes=Sizes(selection_fraction=0.5, selection_limit=10)).selection) == 10


def test_fingerprint_tells_data_tokens_and_splits_apart(data, tokenizer, tokenizer_without_types):
    prints = [
        load(data, tokenizer).fingerprint,
        load(data, tokenizer, max_length=6).fingerprint,
        load(data, tokenizer, sizes=Sizes(selection_limit=10)).fingerprint,
        load(data, tokenizer_without_types).fingerprint,
    ]
    data.write_text(data.read_text().replace("abcdefg", "abcdefh", 1))
    prints.append(load(data, tokenizer).fingerprint)
    assert len(set(prints)) == 5


def test_cache_is_read_and_rebuilt_when_damaged(data, tokenizer, tmp_path):
    cache = tmp_path / "deep" / "cache"
    first = load(data, tokenizer, cache=cache, max_length=6)
    [file] = cache.iterdir()
    assert file.name == f"local-{first.fingerprint}.npz"
    written = file.stat().st_mtime_ns
    same(first, load(data, tokenizer, cache=cache, max_length=6))
    assert file.stat().st_mtime_ns == written
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    for damaged in (b"", b"no zip file", content[:middle], flipped):
        file.write_bytes(damaged)
        same(first, load(data, tokenizer, cache=cache, max_length=6))
        assert file.read_bytes() != damaged
    assert list(cache.iterdir()) == [file]


def test_cache_without_token_types(data, tokenizer_without_types, tmp_path):
    first = load(data, tokenizer_without_types, cache=tmp_path / "cache")
    same(first, load(data, tokenizer_without_types, cache=tmp_path / "cache"))


def test_cache_that_cannot_be_written(data, tokenizer):
    with pytest.raises(InputError, match=r"cannot write .*all.csv/.*: .*; choose another place"):
        load(data, tokenizer, cache=data)


def test_too_few_rows(tmp_path, tokenizer):
    path = tmp_path / "all.csv"
    path.write_text("text,label\na,x\nb,y\n")
    match = (
        r"the train split has 2 rows, of which a selection fraction of 0.2 holds out 0 and leaves 2; both parts need "
        "rows that are not alike, so add data or change the fraction"
    )
    with pytest.raises(InputError, match=match):
        load(path, tokenizer)


def test_a_limit_that_leaves_one_class(data, tokenizer):
    with pytest.raises(
        InputError, match="the 1 rows left for training all have one label; raise the limit of training"
    ):
        load(data, tokenizer, sizes=Sizes(train_limit=1))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"train_limit": 0}, "limit of training rows must be at least 1, got 0"),
        ({"selection_fraction": 1.0}, "fraction held out for selection must be between 0 and 1, got 1.0"),
        ({"selection_limit": 0}, "limit of selection rows must be at least 1, got 0"),
    ],
)
def test_sizes_out_of_range(arguments, match):
    with pytest.raises(InputError, match=match):
        Sizes(**arguments)


def test_tokenizers_that_do_not_fit(data, tokenizer, tokenizer_without_padding):
    with pytest.raises(InputError, match="needs more than its 2 special tokens, but max_length is 2; raise it"):
        load(data, tokenizer, max_length=2)
    with pytest.raises(InputError, match=r"has no padding token; set tokenizer.pad_token and save it"):
        load(data, tokenizer_without_padding)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=80), st.floats(0, 1), st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_stratified_draws_give_each_class_its_share(labels, fraction, seed):
    labels, size = np.array(labels), int(fraction * len(labels))
    drawn = stratified(labels, size, np.random.default_rng(seed))
    assert len(set(drawn.tolist())) == len(drawn) == size
    for label in np.unique(labels):
        share = (labels == label).sum() * size / len(labels)
        assert abs((labels[drawn] == label).sum() - share) <= 1


def test_regression_scores_are_spread_alike():
    scores = np.random.default_rng(0).permutation(1000) / 1000
    drawn = stratified(scores, 100, np.random.default_rng(1))
    assert np.allclose(np.sort(scores[drawn]), np.arange(100) / 100, atol=0.011)


def test_importing_the_tasks_loads_nothing_that_only_some_need():
    heavy = "{'datasets', 'transformers', 'pyarrow', 'seqeval', 'sklearn', 'scipy'}"
    code = f"import sys, secateur.tasks; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
