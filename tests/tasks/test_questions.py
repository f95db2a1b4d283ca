"""Windows on contexts; the tokenizer makes one token of each letter, so they are counted by hand."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from secateur.errors import InputError
from secateur.tasks import Windows
from secateur.tasks.questions import Questions

words = st.lists(st.text("abcdefg", min_size=1, max_size=6), min_size=1, max_size=12).map(" ".join)


def ask(question, context, answer=None):
    begin = -1 if answer is None else context.index(answer)
    span = [begin, -1 if answer is None else begin + len(answer)]
    return Questions([question], [context], [() if answer is None else (answer,)], np.array([span]), answer is None)


def cut(questions, tokenizer, positions=100, **windows):
    return questions.tokenised(tokenizer, positions, Windows(**windows))


def spelled(tokenizer, ids):
    return "".join(tokenizer.convert_ids_to_tokens(ids.tolist())).replace("##", "")


def context_of(split, row):
    return split.passages.spans[row][:, 1] >= 0


def test_a_long_context_becomes_windows_that_overlap(tokenizer):
    split, truncated = cut(
        ask("qq", "abcdefghij", "ef"), tokenizer, length=10, stride=2
    )  # 10 - 3 - 2 = 5 of the context
    texts = [spelled(tokenizer, ids) for ids in split.input_ids]
    assert texts == ["[CLS]qq[SEP]abcde[SEP]", "[CLS]qq[SEP]defgh[SEP]", "[CLS]qq[SEP]ghij[SEP]"]
    assert split.labels.tolist() == [[0, 0], [5, 6], [0, 0]]  # the first window lacks the answer's end
    assert split.token_type_ids[2].tolist() == [0] * 4 + [1] * 5
    assert split.passages.questions.tolist() == [0, 0, 0]
    assert split.passages.spans[2].tolist() == [[-1, -1]] * 4 + [[6, 7], [7, 8], [8, 9], [9, 10], [-1, -1]]
    assert (truncated, split.per_token, split.output_counts.tolist()) == (0, True, [10, 10, 9])


@given(st.lists(st.tuples(st.text("abc", min_size=1, max_size=5), words), min_size=1, max_size=5), st.integers(0, 7))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("name", ["tokenizer", "tokenizer_without_types", "byte_tokenizer"])
def test_windows_are_those_of_transformers(request, name, pairs, stride):
    tokenizer, types = request.getfixturevalue(name), name == "tokenizer"
    questions, contexts = ([pair[i] for pair in pairs] for i in (0, 1))
    spans = np.full((len(pairs), 2), -1)
    rows = Questions(questions, contexts, [()] * len(pairs), spans, True)
    split, _ = cut(rows, tokenizer, length=24, stride=stride)
    told = tokenizer(
        questions,
        contexts,
        truncation="only_second",
        max_length=24,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    assert [row.tolist() for row in split.input_ids] == told["input_ids"]
    assert split.passages.questions.tolist() == told["overflow_to_sample_mapping"]
    assert (split.token_type_ids is None) != types
    if types:
        assert [row.tolist() for row in split.token_type_ids] == told["token_type_ids"]
    for row, offsets in enumerate(told["offset_mapping"]):
        inside = context_of(split, row)
        assert split.passages.spans[row][inside].tolist() == [list(pair) for pair in np.array(offsets)[inside]]


@given(words, words, st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_point_to_the_tokens_of_the_answer(tokenizer, question, context, data):
    begin = data.draw(st.integers(0, len(context) - 1))
    answer = context[begin : data.draw(st.integers(begin + 1, len(context)))].strip()
    if not answer:
        return
    rows = Questions([question], [context], [(answer,)], np.array([[context.index(answer, begin)] * 2]), False)
    rows.spans[0, 1] += len(answer)
    split, _ = cut(rows, tokenizer, length=24, stride=8)
    letters = answer.replace(" ", "")
    held = 0
    for row, (first, last) in enumerate(split.labels):
        if (first, last) == (0, 0):
            continue
        held += 1
        assert spelled(tokenizer, split.input_ids[row][first : last + 1]) == letters
        assert split.passages.spans[row][first, 0] == rows.spans[0, 0]
        assert split.passages.spans[row][last, 1] == rows.spans[0, 1]
    if len(question.replace(" ", "")) <= 5 and len(letters) <= 8:  # no longer than what two windows share
        assert held >= 1


def test_a_long_question_is_cut_to_half_a_window_and_counted(tokenizer):
    rows = ask("q" * 40, "abcdefghijklmnopqr", "r")
    split, truncated = cut(rows, tokenizer, length=23, stride=11)
    assert truncated == 1
    assert {spelled(tokenizer, ids[:12]) for ids in split.input_ids} == {"[CLS]" + "q" * 10 + "[SEP]"}
    texts = [split.passages.spans[row][context_of(split, row), 0] for row in range(len(split))]
    assert [len(text) for text in texts] == [10, 10, 8]
    assert all(len(np.intersect1d(a, b)) == 5 for a, b in pairwise(texts))  # not 11: they move on
    assert split.labels[-1].tolist() == [19, 19]
    whole, truncated = cut(ask("q" * 10, "abc", "c"), tokenizer, length=23)
    assert (truncated, whole.labels.tolist()) == (0, [[14, 14]])


def test_an_unanswerable_question_points_to_the_first_token(tokenizer):
    split, _ = cut(ask("q", "abcdefgh"), tokenizer, length=8, stride=2)
    assert len(split) == 3
    assert not split.labels.any()


def test_defaults_are_384_tokens_of_which_a_third_is_shared(tokenizer):
    assert Windows().within(512, 3) == (384, 128)
    assert Windows().within(24, 3) == (24, 8)
    assert Windows(length=100).within(512, 3) == (100, 33)
    assert Windows(stride=64).within(512, 4) == (384, 64)


@pytest.mark.parametrize(
    ("windows", "match"),
    [
        ({"length": 0}, "the length of windows must be at least 1, got 0"),
        ({"stride": -1}, "the stride of windows must be at least 0, got -1"),
        ({"length": 101}, "windows of 101 tokens are longer than the model's 100 positions; shorten them"),
        (
            {"length": 4},
            "windows of 4 tokens have no room for a question and a context beside 3 special tokens; length",
        ),
        (
            {"length": 20, "stride": 20},
            "a stride of 20 tokens is more than half of the windows of 20, .*; take at most 10",
        ),
    ],
)
def test_windows_that_do_not_fit(tokenizer, windows, match):
    with pytest.raises(InputError, match=match) as caught:
        cut(ask("q", "abc", "c"), tokenizer, **windows)
    assert "\n" not in str(caught.value)


def test_tokenizers_without_offsets_are_refused(slow_tokenizer):
    with pytest.raises(InputError, match=r"ByT5Tokenizer does not tell where in a text its tokens stand, .* fast"):
        cut(ask("q", "abc", "c"), slow_tokenizer)
