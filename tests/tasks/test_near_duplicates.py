import re

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.tasks.near_duplicates import NearDuplicates
from secateur.tasks.splitting import divide
from secateur.tasks.texts import Texts


def within(inner: str, outer: str) -> bool:
    """Tell it by the texts themselves, word by word."""
    inner, outer = (" ".join(re.findall(r"\w+", text.casefold())) for text in (inner, outer))
    return f" {inner} " in f" {outer} "


WORDS = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map(" ".join)
LONG = st.lists(st.sampled_from("ab"), min_size=14, max_size=24).map(" ".join)


@given(st.lists(WORDS | LONG, min_size=1, max_size=25))
@settings(max_examples=200, deadline=None)
def test_they_are_found_as_comparing_all_with_all_finds_them(texts):
    near = NearDuplicates.among([(text,) for text in texts])
    whole = [
        i
        for i, text in enumerate(texts)
        if text not in texts[:i] and not any(within(text, other) and other != text for other in texts)
    ]
    assert near.whole.tolist() == whole
    pairs = {(int(row), whole[place]) for row, place in zip(near.part, near.of, strict=True)}
    assert pairs == {(i, j) for i, text in enumerate(texts) for j in whole if within(text, texts[j])}
    assert near.share(len(texts)) == 1 - len(whole) / len(texts)


def test_case_punctuation_and_words_that_only_share_letters():
    rows = ["The film.", "the FILM", "a film", "the films", "...", "!?", "it was the film"]
    near = NearDuplicates.among([(row,) for row in rows])
    assert [rows[i] for i in near.whole] == ["a film", "the films", "...", "!?", "it was the film"]


def test_parts_of_a_pair_are_not_mixed():
    near = NearDuplicates.among([("a b", "c"), ("a", "b c"), ("b", "c"), ("c", "x")])
    assert near.whole.tolist() == [0, 1, 3]  # ("b", "c") stands in the first, where one ends and the other begins


@given(st.lists(WORDS, min_size=4, max_size=60), st.floats(0.1, 0.6), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_no_near_duplicates_across_a_division(texts, fraction, seed):
    rows = Texts(texts, None, np.arange(len(texts)) % 2)
    divided = divide(rows, fraction, None, np.random.default_rng(seed))
    kept, held_out = ([texts[i] for i in rows] for rows in (divided.kept, divided.held_out))
    assert not any(within(a, b) or within(b, a) for a in kept for b in held_out)
    assert len(held_out) <= max(1, round(fraction * len(texts)))
    assert len(set(divided.kept) & set(divided.held_out)) == 0


def test_a_pair_and_its_turned_around_twin_stay_together():
    words = [f"w{i}" for i in range(40)]
    rows = Texts(words + words[::-1], words[::-1] + words, np.zeros(80, np.int64))
    divided = divide(rows, 0.25, None, np.random.default_rng(0))
    names = [{frozenset((rows.first[i], rows.second[i])) for i in part} for part in (divided.kept, divided.held_out)]
    assert not names[0] & names[1]
    assert (len(divided.held_out), divided.left_out) == (20, 0)


def test_phrases_of_sst2_go_with_their_sentences(shared):
    table = pq.read_table(shared / "sst2" / "train.parquet").to_pydict()
    rows = Texts(table["sentence"], None, np.array(table["label"]))
    divided = divide(rows, 0.2, 2048, np.random.default_rng(0))
    assert len(divided.held_out) == 2048
    assert 0.88 < divided.alike < 0.92
    assert divided.left_out < 0.06 * len(rows)
    kept = " \n ".join(" ".join(re.findall(r"\w+", rows.first[i])) for i in divided.kept)
    inside = [rows.first[i] for i in divided.held_out if f" {' '.join(re.findall(r'[^ ]+', rows.first[i]))} " in kept]
    assert not inside
