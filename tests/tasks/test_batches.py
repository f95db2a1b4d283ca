import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from secateur.tasks import Split
from secateur.tasks.batches import collate, round_length, sorted_batches, training_order

PAD = 9


def make_split(lengths, types=True, regression=False):
    """Tokens of text i are all 10 + i, so a row tells where it came from."""
    ids = [np.full(length, 10 + i, np.int32) for i, length in enumerate(lengths)]
    labels = np.arange(len(lengths), dtype=np.float32 if regression else np.int64)
    return Split(ids, [np.ones(length, np.int32) for length in lengths] if types else None, labels)


lengths_of_texts = st.lists(st.integers(1, 40), min_size=1, max_size=60)


@given(lengths_of_texts, st.integers(1, 200))
@settings(max_examples=60, deadline=None)
def test_evaluation_sees_every_text_once_within_the_bound(lengths, tokens):
    batches = sorted_batches(make_split(lengths), tokens=tokens, pad_token_id=PAD)
    seen = np.concatenate([batch.index for batch in batches])
    assert sorted(seen) == list(range(len(lengths)))
    assert np.all(np.diff(np.array(lengths)[seen]) >= 0)
    for batch in batches:
        assert len(batch) == 1 or batch.input_ids.numel() <= tokens
        assert batch.input_ids.shape[1] == max(lengths[i] for i in batch.index)


@pytest.mark.parametrize(
    ("longest", "rounded"),
    [(1, 1), (2, 2), (3, 3), (5, 5), (7, 8), (9, 10), (13, 16), (17, 20), (33, 40), (64, 64), (65, 80), (97, 100)],
)
def test_lengths_are_rounded_up_within_the_limit(longest, rounded):
    assert round_length(longest, 100) == rounded


@given(lengths_of_texts, st.integers(1, 7), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_an_epoch_sees_every_text_once(lengths, batch_size, seed):
    split = make_split(lengths)
    order = training_order(split, batch_size=batch_size, rng=np.random.default_rng(seed))
    again = training_order(split, batch_size=batch_size, rng=np.random.default_rng(seed))
    assert sorted(np.concatenate(order)) == list(range(len(lengths)))
    assert sorted(map(len, order), reverse=True)[:-1] == [batch_size] * (len(order) - 1)
    assert all(np.array_equal(a, b) for a, b in zip(order, again, strict=True))


@given(lengths_of_texts)
@settings(max_examples=60, deadline=None)
def test_a_batch_holds_its_texts_and_pads_the_rest(lengths):
    split = make_split(lengths)
    batch = collate(split, np.arange(len(lengths)), PAD)
    mask = batch.attention_mask
    assert batch.input_ids.shape[1] == max(lengths)  # of a whole split: never longer than its longest text
    assert (mask is None) == (len(set(lengths)) == 1)
    for row, i in enumerate(batch.index):
        kept = slice(None) if mask is None else mask[row]
        assert batch.input_ids[row][kept].tolist() == split.input_ids[i].tolist()
        if mask is not None:
            assert (batch.input_ids[row][~kept] == PAD).all()
            assert (batch.token_type_ids[row][~kept] == 0).all()


def test_a_batch_is_as_long_as_its_longest_text_rounded_up_or_as_told():
    split = make_split([9, 7, 30])
    assert collate(split, np.array([0, 1]), PAD).input_ids.shape == (2, 10)
    assert collate(split, np.array([0, 1]), PAD, length=9).input_ids.shape == (2, 9)


def test_types_of_tensors():
    batch = collate(make_split([3, 2]), np.array([1, 0]), PAD)
    assert (batch.input_ids.dtype, batch.token_type_ids.dtype, batch.labels.dtype) == (torch.int64,) * 3
    assert batch.attention_mask.dtype == torch.bool
    assert batch.labels.tolist() == [1, 0]
    assert batch.input_ids.tolist() == [[11, 11, PAD], [10, 10, 10]]
    moved = batch.to("cpu")
    assert moved.input_ids.equal(batch.input_ids)
    assert moved.index is batch.index


def test_regression_labels_and_no_token_types():
    batch = collate(make_split([2, 2], types=False, regression=True), np.array([0, 1]), PAD)
    assert batch.labels.dtype == torch.float32
    assert batch.token_type_ids is None
    assert batch.attention_mask is None
    assert batch.to("cpu").attention_mask is None


def test_training_pads_little_and_epochs_differ():
    rng = np.random.default_rng(0)
    split = make_split(rng.integers(3, 60, size=2000))
    first, second = (training_order(split, batch_size=32, rng=rng) for _ in range(2))
    padded = sum(int(split.lengths[index].max()) * len(index) for index in first)
    assert padded < 1.05 * split.lengths.sum()  # unsorted batches pad by about 90 %
    assert not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_sizes_below_one_are_refused():
    split = make_split([3])
    with pytest.raises(ValueError, match="tokens=0"):
        sorted_batches(split, tokens=0, pad_token_id=PAD)
    with pytest.raises(ValueError, match="batch_size=0"):
        training_order(split, batch_size=0, rng=np.random.default_rng(0))
