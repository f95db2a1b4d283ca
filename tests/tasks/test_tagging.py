import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from secateur.errors import InputError
from secateur.tasks import METRICS, Columns, Sizes, Windows, load_task
from secateur.tasks.tagging import load_tagging
from seqeval.metrics import accuracy_score, f1_score

CONLL = """-DOCSTART- -X- O O

Eve NNP I-NP B-PER
Ng NNP I-NP I-PER
met VBD I-VP O

the DT B-NP O
EU NNP I-NP B-ORG

"""
WORDS = [["Eve", "Ng", "met"], ["the", "EU"]]
TAGS = [["B-PER", "I-PER", "O"], ["O", "B-ORG"]]
NAMES = ("B-ORG", "B-PER", "I-PER", "O")


def write(path, words=WORDS, tags=TAGS):
    """One file of sentences, of the type that its ending says."""
    if path.suffix == ".jsonl":
        rows = (json.dumps({"tokens": line, "ner_tags": told}) for line, told in zip(words, tags, strict=True))
        path.write_text("\n".join(rows) + "\n")
    elif path.suffix == ".parquet":
        pq.write_table(pa.table({"tokens": words, "ner_tags": tags}), path)
    else:
        pairs = (zip(line, told, strict=True) for line, told in zip(words, tags, strict=True))
        path.write_text("\n\n".join("\n".join(f"{word}\t{tag}" for word, tag in pair) for pair in pairs))
    return path


def judged(folder, ending, tokenizer, words=WORDS, tags=TAGS, **arguments):
    """The task of a folder whose train split has other words with the same tags, and its report split."""
    write(folder / f"train.{ending}", [[f"{i}"] * len(line) for i in range(5) for line in words], tags * 5)
    write(folder / f"validation.{ending}", words, tags)
    task = load(folder, tokenizer, **arguments)
    return task, task.report["validation"]


def load(path, tokenizer, **arguments):
    return load_task("tagging", tokenizer, **({"data": path, "seed": 0, "max_length": 32} | arguments))


def test_columns_of_conll(tmp_path):
    for split in ("train", "validation"):
        (tmp_path / f"{split}.txt").write_text(CONLL)
    loaded = load_tagging(tmp_path, Columns(), seed=0)
    assert (loaded.kind, loaded.label_names, loaded.metric) == ("token-classification", NAMES, "entity_f1")
    for part in (loaded.train, loaded.report["validation"]):
        assert part.words == WORDS
        assert [[NAMES[tag] for tag in row] for row in part.tags] == TAGS


@pytest.mark.parametrize("ending", ["conll", "txt", "jsonl", "parquet"])
def test_every_file_type_gives_the_same_task(tmp_path, ending):
    for split in ("train", "validation"):
        write(tmp_path / f"{split}.{ending}")
    loaded = load_tagging(tmp_path, Columns(), seed=0)
    assert (loaded.train.words, loaded.label_names) == (WORDS, NAMES)
    assert [row.tolist() for row in loaded.report["validation"].tags] == [[1, 2, 3], [3, 0]]


def test_other_columns_and_a_single_file(tmp_path):
    path = tmp_path / "all.jsonl"
    rows = [{"words": [f"w{i}", "b"], "pos": ["NOUN", "VERB"]} for i in range(20)]
    path.write_text("\n".join(map(json.dumps, rows)))
    loaded, again, other = (load_tagging(path, Columns("words", label="pos"), seed=seed) for seed in (0, 0, 1))
    report = loaded.report["validation"]
    assert (len(loaded.train), len(report), loaded.metric) == (16, 4, "token_accuracy")
    assert sorted(loaded.train.words + report.words) == sorted(row["words"] for row in rows)
    assert again.report["validation"].words == report.words != other.report["validation"].words


def test_numbers_take_their_names_from_the_file(tmp_path):
    import datasets

    names = ["O", "B-PER", "I-PER", "B-LOC"]
    tags = datasets.List(datasets.ClassLabel(names=names))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "ner_tags": tags})
    made = datasets.Dataset.from_dict({"tokens": WORDS, "ner_tags": [[1, 2, 0], [0, 1]]}, features=features)
    for split in ("train", "validation"):
        made.to_parquet(tmp_path / f"{split}.parquet")
    loaded = load_tagging(tmp_path, Columns(), seed=0)
    assert loaded.label_names == tuple(names)
    assert [row.tolist() for row in loaded.train.tags] == [[1, 2, 0], [0, 1]]


@pytest.mark.parametrize("types", [True, False])
def test_a_words_first_token_has_its_tag(tmp_path, tokenizer, tokenizer_without_types, types):
    tokenizer = tokenizer if types else tokenizer_without_types  # one token per letter
    _, split = judged(tmp_path, "conll", tokenizer)
    expected = {
        10: [-100, 1, -100, -100, 2, -100, 3, -100, -100, -100],  # [CLS] e v e n g m e t [SEP]
        7: [-100, 3, -100, -100, 0, -100, -100],  # [CLS] t h e e u [SEP]
    }
    assert {len(row) for row in split.input_ids} == {7, 10}
    for ids, labels in zip(split.input_ids, split.labels, strict=True):
        assert labels.tolist() == expected[len(ids)]
    assert (split.token_type_ids is None) != types
    assert (split.tags, split.per_token) == (NAMES, True)


def test_a_token_that_begins_with_a_space_belongs_to_the_word_after_it(tmp_path, byte_tokenizer):
    _, split = judged(tmp_path, "jsonl", byte_tokenizer, [["Eve", "met", "\u00fc"]], [["B-X", "O", "I-X"]])
    # [CLS] E v e Gm e t G and two bytes of the last word [SEP]
    assert split.labels[0].tolist() == [-100, 0, -100, -100, 2, -100, -100, -100, 1, -100, -100]


def test_punctuation_inside_a_word_and_spaces_do_not_move_tags(tmp_path, tokenizer):
    _, split = judged(tmp_path, "jsonl", tokenizer, [["o'n", "(a b)", "c."]], [["B-X", "I-X", "O"]])
    labels = split.labels[0].tolist()
    assert labels == [-100, 0, -100, -100, 1, -100, -100, -100, 2, -100, -100]  # o ' n ( a b ) c .


def test_long_sentences_are_cut_and_counted(tmp_path, tokenizer):
    task, split = judged(tmp_path, "conll", tokenizer, max_length=8)
    assert task.truncated == 1
    cut = next(labels for labels, ids in zip(split.labels, split.input_ids, strict=True) if len(ids) == 8)
    assert cut.tolist() == [-100, 1, -100, -100, 2, -100, 3, -100]


def test_the_cache_gives_back_what_was_stored(tmp_path, tokenizer):
    words = [[f"{i}"] * len(line) for i in range(10) for line in WORDS]
    path = write(tmp_path / "all.conll", words, TAGS * 10)
    made, read = (load(path, tokenizer, cache=tmp_path / "cache", sizes=Sizes(train_limit=7)) for _ in "ab")
    assert (len(made.train), len(made.selection), made.fingerprint) == (7, 3, read.fingerprint)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    for one, other in zip((made.train, made.selection), (read.train, read.selection), strict=True):
        assert one.tags == other.tags == NAMES
        assert one.per_token is other.per_token is True
        assert [row.tolist() for row in one.labels] == [row.tolist() for row in other.labels]
    write(path, words, [["B-PER", "I-PER", "O"], ["O", "B-PER"]] * 10)
    assert load(path, tokenizer).fingerprint != made.fingerprint


def outputs_of(tags, split):
    """Outputs whose likeliest class is, at each word's first token, the tag said of it."""
    outputs = np.random.default_rng(0).random((int(split.output_counts.sum()), len(split.tags)))
    told = np.flatnonzero(np.concatenate(split.labels) >= 0)
    outputs[told, [split.tags.index(tag) for row in tags for tag in row]] = 2.0
    return outputs


def tagged(tmp_path, tokenizer, tags):
    words = [["ab"] * len(row) for row in tags]
    return judged(tmp_path, "jsonl", tokenizer, words, tags, max_length=64)[1]


def test_the_published_example_of_seqeval(tmp_path, tokenizer):
    # seqeval's README: f1_score 0.50, accuracy_score 0.80
    right = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    found = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    split = tagged(tmp_path, tokenizer, right)
    outputs = outputs_of(found, split)
    assert METRICS["entity_f1"].score(outputs, split) == 0.5
    assert METRICS["token_accuracy"].score(outputs, split) == 0.8
    given, references = METRICS["entity_f1"].kind.compared(outputs, split)
    assert given.tolist() == [[0, 1, 1, 5, 7], [1, 1, 1, 3, 3]]
    assert references.shape == (2, 0)


@pytest.mark.parametrize("prefixes", ["BI", "IE", "BIES"])
def test_scores_are_seqevals(tmp_path, tokenizer, prefixes):
    rng = np.random.default_rng(0)
    names = ["O", *(f"{prefix}-{kind}" for prefix in prefixes for kind in ("PER", "LOC"))]
    right = [rng.choice(names, size=rng.integers(1, 12)).tolist() for _ in range(40)] + [names]
    found = [[tag if rng.random() < 0.7 else str(rng.choice(names)) for tag in row] for row in right]
    split = tagged(tmp_path, tokenizer, right)
    outputs = outputs_of(found, split)
    assert METRICS["entity_f1"].score(outputs, split) == pytest.approx(f1_score(right, found))
    assert METRICS["token_accuracy"].score(outputs, split) == pytest.approx(accuracy_score(right, found))


def test_nothing_found_and_nothing_there_is_zero(tmp_path, tokenizer):
    split = tagged(tmp_path, tokenizer, [["O", "O"], ["B-X", "O"]]).take(np.array([0]))
    assert METRICS["entity_f1"].score(outputs_of([["O", "O"]], split), split) == 0.0
    assert METRICS["token_accuracy"].score(outputs_of([["O", "O"]], split), split) == 1.0
    constants = [
        METRICS["token_accuracy"].score(outputs, split) for outputs in METRICS["entity_f1"].kind.constants(split)
    ]
    assert constants == [0.0, 1.0]
    with pytest.raises(ValueError, match=r"2 tags need as many outputs for each token, got outputs \(6, 3\)"):
        METRICS["entity_f1"].score(np.zeros((6, 3)), split)


def failing(path, match, words=WORDS, tags=TAGS, columns=None):
    write(path, words, tags)
    with pytest.raises(InputError, match=match) as caught:
        load_tagging(path, columns or Columns(), seed=0)
    assert "\n" not in str(caught.value)


def test_sentences_that_cannot_be_used(tmp_path):
    path = tmp_path / "all.jsonl"
    failing(path, r"row 2 of .*all.jsonl holds no words; drop or mend it", [["a"], []], [["O"], []])
    failing(path, r"row 1 of .*all.jsonl holds an empty word; drop or mend it", [["a", ""]], [["O", "B-X"]])
    failing(path, r"row 1 of .*all.jsonl must hold a list of words, got a b", ["a b"], [["O", "B-X"]])
    failing(path, r"row 1 of .*all.jsonl must hold a tag for each of its 2 words, got 1", [["a", "b"]], [["O"]])
    failing(path, r"row 1 of .* holds the tag 3, but there are no names of its numbers; write strings", [["a"]], [[3]])
    failing(path, r"all tags of .*all.jsonl are 'O'; a task needs at least two", [["a"], ["b"]], [["O"], ["O"]])
    failing(path, r"all.jsonl has no column 'words'; its columns: tokens, ner_tags", columns=Columns("words"))


def test_metrics_that_do_not_fit(tmp_path):
    path, noun = tmp_path / "all.jsonl", [["NOUN", "VERB", "O"], ["O", "NOUN"]]
    match = "entity_f1 needs tags such as B-PER, I-PER, E-PER, S-PER and O, but .*all.jsonl has 'NOUN'; use token_acc"
    failing(path, match, tags=noun, columns=Columns(metric="entity_f1"))
    match = "the metric accuracy judges a classification, .* token-classification; use entity_f1, token_accuracy"
    failing(path, match, columns=Columns(metric="accuracy"))


def test_tags_not_seen_in_train(tmp_path):
    write(tmp_path / "train.conll")
    write(tmp_path / "validation.conll", tags=[["B-PER", "I-PER", "B-GPE"], ["O", "B-ORG"]])
    with pytest.raises(
        InputError, match=r"validation.conll has tags that .*train.conll does not have: B-GPE; train has: B"
    ):
        load_tagging(tmp_path, Columns(), seed=0)


def test_files_that_cannot_be_used(tmp_path, tokenizer, slow_tokenizer):
    path = tmp_path / "all.conll"
    path.write_text("a O\nb\n")
    with pytest.raises(InputError, match=r"line 2 of .*all.conll holds 'b'; write a word and its tag"):
        load_tagging(path, Columns(), seed=0)
    path.write_text("\n-DOCSTART- O\n\n")
    with pytest.raises(InputError, match=r"all.conll holds no rows"):
        load_tagging(path, Columns(), seed=0)
    path.write_bytes(b"\xff\xfe O\n")
    with pytest.raises(InputError, match=r"all.conll is in UTF-16; save it as UTF-8"):
        load_tagging(path, Columns(), seed=0)
    with pytest.raises(
        InputError, match=r"the task 'tagging' needs `data`: a folder with train.conll and validation.con"
    ):
        load_tagging(None, Columns(), seed=0)
    path.unlink()
    match = r"lacks train.conll, .*train.jsonl, train.json, train.parquet or train.arrow; the folder holds: nothing"
    with pytest.raises(InputError, match=match):
        load_tagging(tmp_path, Columns(), seed=0)
    write(path, [[f"{i}"] * len(line) for i in range(5) for line in WORDS], TAGS * 5)
    with pytest.raises(InputError, match=r"ByT5Tokenizer does not tell where in a text its tokens stand"):
        load(path, slow_tokenizer)
    with pytest.raises(
        InputError, match="only contexts of questions are cut into windows, but tagging is a token-class"
    ):
        load(path, tokenizer, windows=Windows(stride=3))
