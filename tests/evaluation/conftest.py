"""A split that a tiny model answers well: its labels are the whole network's own answers, but for some."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from secateur.search_space import EncoderShape, SubnetMask
from secateur.tasks.metrics import METRICS
from secateur.tasks.split import Split

if TYPE_CHECKING:
    from secateur.evaluation.error import SplitError
    from secateur.supernet import Supernet

SHAPE = EncoderShape(num_layers=3, num_heads=4, head_size=4, hidden_size=16, intermediate_size=24)


@pytest.fixture(scope="session")
def supernet(tiny_models) -> Supernet:
    """Three layers, three classes; tests must leave it as it is."""
    from secateur.supernet import Supernet

    return Supernet(tiny_models["bert"])


@pytest.fixture(scope="session")
def split(supernet) -> Split:
    """400 random texts of 2 to 20 tokens; the whole network gets 5 % wrong."""
    rng = np.random.default_rng(0)
    texts = [rng.integers(4, 40, rng.integers(2, 21)).astype(np.int32) for _ in range(400)]
    unlabelled = Split(texts, None, np.zeros(400, np.int64))
    answers = split_error(supernet, unlabelled).outputs(SubnetMask.full(SHAPE), (3,))[3].argmax(axis=1)
    answers[rng.permutation(400)[:20]] += 1
    return replace(unlabelled, labels=answers % 3)


def split_error(supernet, split, **options) -> SplitError:
    """Return what evaluates a split by accuracy; options of `SplitError` replace it and add to it."""
    from secateur.evaluation.error import SplitError

    return SplitError(supernet, split, **{"metric": METRICS["accuracy"], "pad_token_id": 0} | options)


def related_masks(space, count: int, rng: np.random.Generator) -> list[SubnetMask]:
    """Return random masks of a space that begin like one of few others, as offspring do, each several times."""
    parents = [space.mask(x) for x in (space.largest, *space.sample(5, rng))]
    masks = []
    for _ in range(count):
        first, rest = (parents[i] for i in rng.integers(len(parents), size=2))
        begins = np.arange(space.shape.num_layers)[:, None] < rng.integers(space.shape.num_layers + 1)
        heads, neurons = np.where(begins, first.heads, rest.heads), np.where(begins, first.neurons, rest.neurons)
        masks.append(SubnetMask(heads, neurons, first.hidden))
    return masks
