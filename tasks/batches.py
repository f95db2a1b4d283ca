"""Padded batches of a split: by length for evaluation, shuffled for training."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from .split import Split

CHUNK = 50  # batches whose texts are sorted by length together: little padding, and still a fresh mix in each epoch


@dataclass(frozen=True)
class Batch:
    """Texts of one batch, padded on the right to one length.

    Attributes:
        input_ids: `(B, T)` int64.
        token_type_ids: `(B, T)` int64, or None.
        attention_mask: `(B, T)` bool, True = a token; None when no row is padded, which lets attention skip its mask.
        labels: `(B,)` int64 or float32; `(B, C)` int64 where a text may have several, `(B, 2)` where they are spans;
            `(R,)` where each real token has one.
        index: `(B,)` positions in the split, always on the CPU.
        groups: `(B,)` int64, the query of each text; None where texts have none.
    """

    input_ids: torch.Tensor
    token_type_ids: torch.Tensor | None
    attention_mask: torch.Tensor | None
    labels: torch.Tensor
    index: NDArray[np.int64]
    groups: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    @property
    def inputs(self) -> dict[str, torch.Tensor]:
        """What a Hugging Face model is called with: tokens, attention mask and token types, no labels."""
        inputs = {"input_ids": self.input_ids, "attention_mask": self.real.long()}
        if self.token_type_ids is not None:
            inputs["token_type_ids"] = self.token_type_ids
        return inputs

    @property
    def real(self) -> torch.Tensor:
        """`(B, T)` bool, False for padding."""
        if self.attention_mask is None:
            return torch.ones_like(self.input_ids, dtype=torch.bool)
        return self.attention_mask

    def flat(self, padded: torch.Tensor) -> torch.Tensor:
        """Return what `(B, T, ...)` holds at real tokens, text after text: `(R, ...)`."""
        return padded.flatten(0, 1) if self.attention_mask is None else padded[self.attention_mask]

    def padded(self, flat: torch.Tensor, fill: float) -> torch.Tensor:
        """Return what real tokens have, `(R, C)`, as `(B, T, C)`, padding filled up."""
        if self.attention_mask is None:
            return flat.unflatten(0, self.input_ids.shape)
        padded = flat.new_full((*self.input_ids.shape, flat.shape[-1]), fill)
        return padded.masked_scatter(self.attention_mask[..., None], flat)

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with its tensors on ``device``."""

        def move(tensor: torch.Tensor | None) -> torch.Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return Batch(
            self.input_ids.to(device, non_blocking=True),
            move(self.token_type_ids),
            move(self.attention_mask),
            self.labels.to(device, non_blocking=True),
            self.index,
            move(self.groups),
        )


def collate(split: Split, index: NDArray[np.int64], pad_token_id: int, *, length: int | None = None) -> Batch:
    """Build the batch of the texts at ``index`` `(B,)`, in that order.

    Args:
        split: where they are.
        index: positions in it; one may occur twice.
        pad_token_id: fills up short rows.
        length: tokens of a row; if None the longest row's, rounded up (:func:`round_length`).
    """
    rows = [split.input_ids[i] for i in index]
    lengths = np.array([len(row) for row in rows])
    if length is None:
        length = round_length(int(lengths.max()), int(split.lengths.max()))
    length = max(1, length)  # of texts without a token, which a tokenizer without special ones gives
    real = np.arange(length) < lengths[:, None]  # (B, T)

    def padded(rows: list[NDArray[np.int32]], fill: int) -> torch.Tensor:
        filled = np.full(real.shape, fill, np.int64)
        filled[real] = np.concatenate(rows)  # row-major, so the tokens fall where they belong
        return torch.from_numpy(filled)

    types = split.token_type_ids
    return Batch(
        input_ids=padded(rows, pad_token_id),
        token_type_ids=None if types is None else padded([types[i] for i in index], 0),
        attention_mask=None if real.all() else torch.from_numpy(real),
        labels=torch.from_numpy(_labels(split, index)),
        index=np.asarray(index, np.int64),
        groups=None if split.groups is None else torch.from_numpy(split.groups[index]),
    )


def _labels(split: Split, index: NDArray[np.int64]) -> np.ndarray:
    if isinstance(split.labels, list):
        return np.concatenate([split.labels[i] for i in index])
    return split.labels[index]


def round_length(longest: int, limit: int) -> int:
    """Round a batch's length up, but not beyond the split's longest text: few lengths mean few shapes.

    A library that compiles a kernel for each shape (oneDNN in bfloat16, `torch.compile`) spends more on compiling
    than on running if every batch has a length of its own.
    """
    power = 1 << (longest - 1).bit_length()
    eighths = (5, 6, 8) if power <= 64 else (5, 6, 7, 8)  # 8, 10, 12, 16, 20, ... 64, 80, 96, 112, 128, 160, ...
    return min(next(n * power // 8 for n in eighths if n * power // 8 >= longest), limit)


def sorted_batches(split: Split, *, tokens: int, pad_token_id: int) -> list[Batch]:
    """Return the batches of an evaluation: every text once, in order of length.

    Args:
        split: what is evaluated.
        tokens: most padded tokens `B * T` of a batch; a longer text gets a batch of its own.
        pad_token_id: fills up short rows.

    Raises:
        ValueError: ``tokens`` below 1.
    """
    if tokens < 1:
        raise ValueError(f"a batch needs room for at least 1 token, got {tokens=}")
    lengths = split.lengths
    order = np.argsort(lengths, kind="stable")
    batches: list[Batch] = []
    start = 0
    for end, longest in enumerate(lengths[order]):  # texts start..end-1 are waiting; `longest` would join them
        if end > start and (end - start + 1) * longest > tokens:
            batches.append(collate(split, order[start:end], pad_token_id, length=int(lengths[order[end - 1]])))
            start = end
    if start < len(order):
        batches.append(collate(split, order[start:], pad_token_id, length=int(lengths[order[-1]])))
    return batches


def batches_per_epoch(split: Split, batch_size: int) -> int:
    """Return how many batches an epoch has: no more than there are queries, where texts have those."""
    count = math.ceil(len(split) / batch_size)
    return count if split.groups is None else min(count, split.examples)


def shares(split: Split, rows: NDArray[np.int64], processes: int) -> list[NDArray[np.int64]]:
    """Divide a batch's texts `(B,)` among processes, a query's to one; of few texts some processes get none."""
    unit = np.arange(len(rows)) if split.groups is None else np.unique(split.groups[rows], return_inverse=True)[1]
    parts = [rows[unit % processes == process] for process in range(processes)]
    return [part for part in parts if len(part)]


def training_order(split: Split, *, batch_size: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Return which texts each batch of one epoch holds, in order of training: every text once.

    Texts are shuffled, sorted by length within chunks of 50 batches, and the batches shuffled again, so a batch pads
    little and no epoch repeats a batch. Nothing is built yet: a resumed run skips to its step for free and builds
    batches with :func:`collate`.

    Where texts have queries, batches hold whole ones, and about as many texts as asked for.

    Raises:
        ValueError: ``batch_size`` below 1.
    """
    if batch_size < 1:
        raise ValueError(f"a batch holds at least 1 text, got {batch_size=}")
    if split.groups is not None:
        return _grouped_order(split, split.groups, batch_size, rng)
    lengths = split.lengths
    shuffled = rng.permutation(len(split))
    order: list[NDArray[np.int64]] = []
    for start in range(0, len(shuffled), CHUNK * batch_size):
        chunk = shuffled[start : start + CHUNK * batch_size]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        order += [chunk[i : i + batch_size] for i in range(0, len(chunk), batch_size)]
    return [order[i] for i in rng.permutation(len(order))]


def _grouped_order(
    split: Split, groups: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> list[NDArray[np.int64]]:
    """Return the batches of one epoch, each of whole queries; those of a batch have texts of about one length."""
    _, query, counts = np.unique(groups, return_inverse=True, return_counts=True)
    longest = np.zeros(len(counts), np.int64)
    np.maximum.at(longest, query, split.lengths)
    rows = np.split(np.argsort(query, kind="stable"), np.cumsum(counts)[:-1])  # of each query
    shuffled = rng.permutation(len(counts))
    chunk = max(1, CHUNK * batch_size * len(counts) // len(groups))
    pieces = [shuffled[i : i + chunk] for i in range(0, len(shuffled), chunk)]
    ordered = np.concatenate([piece[np.argsort(longest[piece], kind="stable")] for piece in pieces])
    batches, ends, cuts = batches_per_epoch(split, batch_size), np.cumsum(counts[ordered]), [0]
    for number in range(1, batches):  # about as many texts each, and one query at least
        cut = int(np.searchsorted(ends, number * len(groups) / batches)) + 1
        cuts.append(min(max(cut, cuts[-1] + 1), len(counts) - (batches - number)))
    order = [np.concatenate([rows[i] for i in part]) for part in np.split(ordered, cuts[1:])]
    return [order[i] for i in rng.permutation(len(order))]
