import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.tasks import Split
from secateur.tasks.batches import collate
from secateur.tasks.passages import Passages


def make_split(lengths, per_token=True):
    return Split([np.full(n, i, np.int32) for i, n in enumerate(lengths)], None, np.arange(len(lengths)), per_token)


def windows(questions, contexts):
    """One row of [CLS], a token of the question, [SEP] and two tokens of the context per entry of ``questions``."""
    spans = [np.array([[-1, -1]] * 3 + [[i, i + 1], [i + 1, i + 2]], np.int32) for i in range(len(questions))]
    passages = Passages(np.array(questions), spans, contexts, tuple((text,) for text in contexts), False)
    rows = [np.zeros(5, np.int32)] * len(questions)
    return Split(rows, None, np.zeros((len(questions), 2), np.int64), per_token=True, passages=passages)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=12), st.data())
@settings(max_examples=60, deadline=None)
def test_outputs_of_texts_are_found_where_they_stand(lengths, data):
    split = make_split(lengths)
    rows = np.array(data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=8)), np.int64)
    told = np.concatenate(split.input_ids)  # the number of the text of each output
    taken = np.concatenate([np.zeros(0, np.int32), *(split.input_ids[i] for i in rows)])
    assert told[split.outputs_at(rows)].tolist() == taken.tolist()
    assert make_split(lengths, per_token=False).outputs_at(rows).tolist() == rows.tolist()


def test_an_output_for_each_text_or_each_token():
    assert make_split([3, 1]).output_counts.tolist() == [3, 1]
    assert make_split([3, 1], per_token=False).output_counts.tolist() == [1, 1]


def test_taking_rows_takes_all_that_belongs_to_them():
    split = windows([0, 1, 1, 2], ("one", "two", "three"))
    taken = split.take(np.array([3, 2]))
    assert taken.passages.contexts == ("two", "three")
    assert taken.passages.answers == (("two",), ("three",))
    assert taken.passages.questions.tolist() == [1, 0]
    assert taken.passages.spans[0].tolist() == split.passages.spans[3].tolist()
    assert (len(split), split.examples, len(taken), taken.examples) == (4, 3, 2, 2)
    tagged = Split([np.zeros(2, np.int32)] * 2, None, [np.zeros(2), np.ones(2)], per_token=True, tags=("a", "b"))
    assert tagged.take(np.array([1])).tags == ("a", "b")
    assert tagged.take(np.array([1])).labels[0].tolist() == [1, 1]


def test_padding_and_its_removal_are_inverse():
    batch = collate(make_split([3, 1, 2]), np.array([1, 0]), pad_token_id=9, length=4)
    flat = torch.arange(8.0).reshape(4, 2)
    padded = batch.padded(flat, -1.0)
    assert padded[:, :, 0].tolist() == [[0, -1, -1, -1], [2, 4, 6, -1]]
    assert torch.equal(batch.flat(padded), flat)
    whole = collate(make_split([2, 2]), np.arange(2), pad_token_id=9)
    assert torch.equal(whole.flat(whole.padded(flat, -1.0)), flat)


def test_labels_of_tokens_are_those_of_the_batch():
    split = Split(
        [np.zeros(n, np.int32) for n in (2, 3)], None, [np.array([1, 2]), np.array([3, 4, 5])], per_token=True
    )
    assert collate(split, np.array([1, 0]), pad_token_id=9).labels.tolist() == [3, 4, 5, 1, 2]


def test_a_split_has_one_length():
    ids = [np.zeros(3, np.int32)]
    with pytest.raises(ValueError, match=r"one length, got {'input_ids': 1, 'labels': 2}"):
        Split(ids, None, np.zeros(2, np.int64))
    passages = windows([0], ("one",)).passages
    with pytest.raises(ValueError, match=r"one length, got {'input_ids': 2, 'labels': 2, 'passages': 1}"):
        Split(ids * 2, None, np.zeros((2, 2), np.int64), per_token=True, passages=passages)
