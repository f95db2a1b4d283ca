"""Where tokens stand in a text, whatever a tokenizer says of it."""

from __future__ import annotations

import numpy as np
import pytest
from secateur.tasks import METRICS
from secateur.tasks.kinds import UNLABELLED
from secateur.tasks.kinds.spans import answers
from secateur.tasks.offsets import mended
from secateur.tasks.questions import Questions
from secateur.tasks.sentences import Sentences
from secateur.tasks.windows import Windows
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from .conftest import SPECIAL

TEXT = "in Paris a (née) cat lives."


def bytes_after_blanks(*, trim: bool, merged: bool) -> PreTrainedTokenizerFast:
    """Like RobBERT's: split at blanks first, then into bytes, with a space put before each word."""
    pieces = [*SPECIAL.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    merges = [("\u0120", letter) for letter in pieces[4:] if letter != "\u0120"] if merged else []
    vocab = {piece: i for i, piece in enumerate([*pieces, *map("".join, merges)])}
    backend = Tokenizer(models.BPE(vocab, merges))
    blanks, level = pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([blanks, level])
    backend.post_processor = processors.RobertaProcessing(
        ("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]), trim_offsets=trim, add_prefix_space=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, model_input_names=["input_ids", "attention_mask"], **SPECIAL
    )


@pytest.fixture(params=[(trim, merged) for trim in (True, False) for merged in (True, False)], ids=str)
def late(request):
    trim, merged = request.param
    return bytes_after_blanks(trim=trim, merged=merged)


def test_the_first_token_of_a_word_is_reported_late():
    """The fault itself: without it the other tests would show nothing."""
    found = bytes_after_blanks(trim=True, merged=True)("in Paris a", add_special_tokens=False)[0]
    assert [span for span, token in zip(found.offsets, found.tokens, strict=True) if token[0] == "\u0120"] == [
        (1, 1),
        (4, 4),
        (10, 10),
    ]


def test_every_visible_character_has_its_token(late):
    found = late(TEXT, add_special_tokens=False)[0]
    spans = mended(TEXT, np.array(found.offsets, np.int32))
    covered = {i for begin, end in spans for i in range(begin, end)}
    assert covered == {i for i, character in enumerate(TEXT) if not character.isspace()}
    assert (np.diff(spans[:, 0]) >= 0).all()
    assert (np.diff(spans[:, 1]) >= 0).all()


def test_answers_are_whole_words(late):
    wanted = ["in", "Paris", "a", "(née)", "née", "cat lives", "."]
    spans = np.array([[TEXT.index(f"{text}"), 0] for text in wanted])
    spans[2, 0] = TEXT.index(" a ") + 1
    spans[:, 1] = spans[:, 0] + [len(text) for text in wanted]
    questions = Questions(["where"] * len(wanted), [TEXT] * len(wanted), [(text,) for text in wanted], spans, False)
    split, _ = questions.tokenised(late, 200, Windows())
    outputs = np.full((int(split.output_counts.sum()), 2), -5.0)
    for end in (0, 1):
        outputs[split.passages.starts + split.labels[:, end], end] = 5.0
    assert answers(outputs, split) == wanted
    assert METRICS["exact_match"].score(outputs, split) == 1.0


def test_every_word_is_judged(late):
    words = ["a", "Paris", "é", "(", "x"]
    split, _ = Sentences([words], [np.arange(5)], tuple("abcde")).tokenised(late, 64, Windows())
    labels = split.labels[0]
    assert labels[labels != UNLABELLED].tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "reported", "right"),
    [
        ("in paris a .", [[0, 2], [4, 8], [10, 10], [11, 12]], [[0, 2], [3, 8], [9, 10], [11, 12]]),
        ("in paris", [[0, 2], [2, 8]], [[0, 2], [3, 8]]),  # with the blank before it, untrimmed
        ("in pari", [[0, 2], [3, 6]], [[0, 2], [3, 7]]),  # ends early
        ("a\u200bb", [[0, 1], [2, 3]], [[0, 1], [2, 3]]),  # a normaliser takes control characters out
        ("cafe\u0301 x", [[0, 4], [6, 7]], [[0, 4], [6, 7]]),  # and accents
        ("x", [], []),
        ("", [[0, 0]], [[0, 0]]),
        ("ab", [[0, 1], [1, 2]], [[0, 1], [1, 2]]),
    ],
)
def test_what_is_reported_and_what_is_right(text, reported, right):
    assert mended(text, np.array(reported, np.int32).reshape(-1, 2)).tolist() == right
