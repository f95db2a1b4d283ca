"""From outputs to answers and their scores, against a search through all spans and the official rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.tasks import METRICS, Split
from secateur.tasks.kinds.spans import answers
from secateur.tasks.kinds.squad_rules import scores, words_of
from secateur.tasks.passages import Passages


def make_split(windows, unanswerable=False, right=None):
    """Rows of one or two other tokens, some of the context "0 1 2 ..." and one more: (question, first, how many)."""
    questions = max(question for question, *_ in windows) + 1
    context = " ".join(str(i % 10) for i in range(200))
    spans = []
    for question, first, count in windows:
        places = [[2 * i, 2 * i + 1] for i in range(first, first + count)]
        spans.append(np.array([[-1, -1]] * (1 + question % 2) + places + [[-1, -1]], np.int32))
    passages = Passages(
        np.array([question for question, *_ in windows]),
        spans,
        (context,) * questions,
        tuple(right or [("0",)] * questions),
        unanswerable,
    )
    labels = np.zeros((len(spans), 2), np.int64)
    rows = [np.zeros(len(row), np.int32) for row in spans]
    return Split(rows, None, labels, per_token=True, passages=passages)


def searched(outputs, split):
    """What `answers` is to find, looked for span by span."""
    passages, found = split.passages, []
    parts = np.split(outputs, np.cumsum(split.output_counts)[:-1])
    for question, context in enumerate(passages.contexts):
        best, text, none = -np.inf, "", np.inf
        for part, places in (
            (parts[row], passages.spans[row]) for row in np.flatnonzero(passages.questions == question)
        ):
            none = min(none, part[0].sum())
            for first in range(len(part)):
                for last in range(first, min(first + 30, len(part))):
                    if places[first, 0] >= 0 and places[last, 0] >= 0 and part[first, 0] + part[last, 1] > best:
                        best, text = part[first, 0] + part[last, 1], context[places[first, 0] : places[last, 1]]
        found.append("" if passages.unanswerable and none > best else text)
    return found


rows_of_questions = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 120), st.integers(0, 45)), min_size=1, max_size=9
).filter(lambda rows: {row[0] for row in rows} == set(range(max(row[0] for row in rows) + 1)))


@given(rows_of_questions, st.integers(0, 2**32), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_answer_is_the_likeliest_span_of_all_windows(windows, seed, unanswerable):
    split = make_split(windows, unanswerable)
    outputs = np.random.default_rng(seed).standard_normal((split.output_counts.sum(), 2))
    assert answers(outputs, split) == searched(outputs, split)


def test_an_answer_has_30_tokens_at_most():
    split = make_split([(0, 0, 40)])
    outputs = np.zeros((42, 2))
    outputs[1, 0] = outputs[31, 1] = 5.0  # 31 tokens
    assert len(answers(outputs, split)[0].split()) < 31
    outputs[30, 1] = 4.0
    assert len(answers(outputs, split)[0].split()) == 30


def test_an_answer_ends_where_its_window_does():
    split = make_split([(0, 0, 3), (0, 3, 3)])
    outputs = np.zeros((10, 2))
    outputs[3, 0], outputs[6, 1] = 5.0, 5.1  # begins with the last token of one window, ends with the first of the next
    assert answers(outputs, split) == ["3"]


def test_no_answer_where_every_window_has_none_and_that_is_allowed():
    outputs = np.zeros((10, 2))
    outputs[0] = outputs[5] = 2.0
    windows = [(0, 0, 3), (0, 3, 3)]
    assert answers(outputs, make_split(windows, unanswerable=True)) == [""]
    assert answers(outputs, make_split(windows)) != [""]
    outputs[5] = -1.0  # this window says that it has one: the least likely "none" counts
    assert answers(outputs, make_split(windows, unanswerable=True)) != [""]
    outputs[5] = 0.0
    assert answers(outputs, make_split(windows, unanswerable=True)) != [""]  # a tie is an answer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Saint Bernadette Soubirous", "saint bernadette soubirous"),
        ("The Golden-Statue, a 'dome' of an Angel!", "goldenstatue dome of angel"),
        ("theatre Athens an(other)", "theatre athens another"),
        ("A.D. 24\u201310  \n (the score)", "ad 24\u201310 score"),  # no ASCII punctuation, so the dash stays
        ("the, a: an!", ""),
        ("\u00c9cole $5.50", "\u00e9cole 550"),
    ],
)
def test_case_punctuation_articles_and_spaces_do_not_count(text, words):
    assert words_of(text) == tuple(words.split())


@pytest.mark.parametrize(
    ("given", "right", "exact", "f1"),
    [
        ("the Broncos.", ["broncos"], 1, 1),
        ("Denver Broncos", ["Denver", "Broncos"], 0, 2 / 3),
        ("in the year 1858", ["1858"], 0, 1 / 2),
        (
            "new new York",
            ["New York City, New York"],
            0,
            2 * 1 * (3 / 5) / (1 + 3 / 5),
        ),  # words count as often as they are
        ("gold", ["silver", "golden", "Gold!"], 1, 1),
        ("iron", ["silver", "gold"], 0, 0),
        ("", ["gold"], 0, 0),
    ],
)
def test_scores_by_hand(given, right, exact, f1):
    for unanswerable in (False, True):
        assert scores([given], [right], unanswerable=unanswerable)[0] == pytest.approx([exact, f1])


@pytest.mark.parametrize(
    ("given", "right", "first", "second"),
    [
        ("the", ["a"], (1, 0), (1, 1)),  # SQuAD 1.1 counts words in common: none
        ("a", ["The", "The Who"], (1, 0), (0, 0)),  # SQuAD 2.0 does not count right texts without words
        ("who", ["The", "The Who"], (1, 1), (1, 1)),
        ("", ["the"], (1, 0), (1, 1)),
    ],
)
def test_texts_without_words_are_judged_as_each_official_script_does(given, right, first, second):
    assert scores([given], [right], unanswerable=False)[0].tolist() == list(first)
    assert scores([given], [right], unanswerable=True)[0].tolist() == list(second)


def test_a_question_without_an_answer_is_right_without_one():
    found = scores(["", "gold", "the"], [(), (), ()], unanswerable=True)
    assert found.tolist() == [[1, 1], [0, 0], [1, 1]]


def test_scores_of_a_split_are_the_means_over_questions():
    split = make_split([(0, 0, 3), (0, 3, 3), (1, 0, 3)], right=[("3 4",), ("2", "0")])
    outputs = np.zeros((16, 2))
    outputs[6] = 3.0  # "3": half of what is right
    outputs[12] = 3.0  # "0"
    assert METRICS["exact_match"].score(outputs, split) == 0.5
    assert METRICS["squad_f1"].score(outputs, split) == pytest.approx((2 / 3 + 1) / 2)
    assert METRICS["squad_f1"].error(outputs, split) == pytest.approx(1 / 6)
    given, references = METRICS["squad_f1"].kind.compared(outputs, split)
    assert (given.shape, references.shape) == ((2, 2), (2, 0))


def test_the_same_answer_to_everything_is_none_or_the_first_word():
    split = make_split([(0, 0, 3), (1, 5, 3)], right=[("0",), ("6",)])
    kind = METRICS["squad_f1"].kind
    [outputs] = kind.constants(split)
    assert answers(outputs, split) == ["0", "5"]
    split = make_split([(0, 0, 3), (1, 5, 3)], unanswerable=True, right=[("0",), ()])
    assert METRICS["exact_match"].score(outputs, split) == 0.5


def test_outputs_that_do_not_fit_are_named():
    split = make_split([(0, 0, 3)])
    with pytest.raises(ValueError, match=r"squad_f1 needs outputs \(R, C\) with R = 5 of at least 1, got \(1, 2\)"):
        METRICS["squad_f1"].score(np.zeros((1, 2)), split)
    with pytest.raises(ValueError, match=r"two outputs for each token, got outputs \(5, 3\)"):
        METRICS["squad_f1"].score(np.zeros((5, 3)), split)
