"""How well a text answers a query, beside the query's other texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..split import Split
from .kind import Kind

_PLACES = 10  # that people look at
_RECIPROCAL = 1  # the column of judged queries with the reciprocal rank


@dataclass(frozen=True)
class Ranking(Kind):
    """A score for each pair of a query and a text: higher is better.

    Attributes:
        listwise: labels teach which of a query's texts in the batch are better, not how good each is by itself.
    """

    name, head = "ranking", "sequence-classification"
    listwise: bool = False

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy of each pair; or, listwise, cross-entropy over a query's texts, the mean over queries.

        Queries of which no text in the batch is relevant teach nothing listwise.

        Source: Cao et al., Learning to rank: from pairwise approach to listwise approach, ICML 2007, section 4.
        """
        scores, labels = outputs.float().squeeze(1), batch.labels.float()
        if not self.listwise:
            return functional.binary_cross_entropy_with_logits(scores, labels)
        if batch.groups is None:
            raise ValueError("a listwise loss needs to know which texts are of one query")
        _, query = torch.unique(batch.groups, return_inverse=True)
        count = int(query.max()) + 1
        largest = scores.new_full((count,), -torch.inf).scatter_reduce(0, query, scores.detach(), "amax")
        powers = torch.exp(scores - largest[query])
        log_likelihoods = scores - largest[query] - scores.new_zeros(count).index_add(0, query, powers).log()[query]
        total = labels.new_zeros(count).index_add(0, query, labels)
        share = labels / total[query].clamp(min=torch.finfo(torch.float32).tiny)
        return -(share * log_likelihoods).sum() / count

    def terms(self, split: Split, rows: NDArray[np.int64]) -> int:
        """Return how many texts there are, or queries."""
        return len(np.unique(split.groups[rows])) if self.listwise and split.groups is not None else len(rows)

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Mean squared difference of the scores, which have no temperature and need no labels.

        Source: Hofstaetter et al., Improving efficient neural ranking models with cross-architecture knowledge
        distillation, 2020, compare it with other losses; of scores, not of margins, it does not need two texts of a
        query.
        """
        return functional.mse_loss(outputs, teacher)

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Of each query nDCG@10, the reciprocal rank within the first 10 and the average precision, `(m, 3)`.

        And as many rows of nothing. Gains are the labels themselves; a text with a label above 0 is relevant, and a
        query without one has 0. Texts with equal scores are in an order drawn at random, the same for all models.
        """
        if outputs.shape[1] != 1 or split.groups is None:
            raise ValueError(f"a ranking has one score for each text of a query, got outputs {outputs.shape}")
        judged = ranking_scores(outputs[:, 0], np.asarray(split.labels, np.float64), split.groups)
        return judged, np.empty((len(judged), 0))

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """Zero: an order drawn at random."""
        return (np.zeros((len(split), 1)),)

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """Of each query the text with the highest score is relevant, the first of several."""
        if split.groups is None:
            raise ValueError("a ranking needs to know which texts are of one query")
        best = np.lexsort((-outputs[:, 0], split.groups))
        _, first = np.unique(split.groups[best], return_index=True)
        labels = np.zeros(len(split), np.float32)
        labels[best[first]] = 1.0
        return replace(split, labels=labels)

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Queries with another text in the first place."""
        return (given[:, _RECIPROCAL] < 1).astype(np.int64), np.ones(len(given), np.int64)

    def unlabelled(self, split: Split) -> int:
        """Texts whose label is below 0 or NaN."""
        return int((~(np.asarray(split.labels) >= 0)).sum())


def ranking_scores(scores: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> NDArray[np.float64]:
    """Return nDCG@10, reciprocal rank at 10 and average precision of each query, `(m, 3)`, queries by their numbers.

    Source: Järvelin and Kekäläinen, ACM TOIS 2002, with gains as they are.

    Args:
        scores: `(n,)`.
        labels: `(n,)`, 0 or above.
        groups: `(n,)`, the query of each text.
    """
    chance = np.random.default_rng(0).permutation(len(scores))
    numbers, query = np.unique(groups, return_inverse=True)
    starts = np.cumsum(np.bincount(query)) - np.bincount(query)

    def ranked(by: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the labels in order, query after query, and their places from 0."""
        order = np.lexsort((chance, -by, query))
        return labels[order], np.arange(len(order)) - starts[query[order]]

    found, place = ranked(scores)
    discounts = np.where(place < _PLACES, 1 / np.log2(place + 2.0), 0.0)
    ideal = np.add.reduceat(ranked(labels)[0] * discounts, starts)
    gain = np.add.reduceat(found * discounts, starts)
    relevant = found > 0
    first = np.maximum.reduceat(np.where(relevant & (place < _PLACES), 1 / (place + 1.0), 0.0), starts)
    before = np.cumsum(relevant)
    hits = before - np.repeat(before[starts] - relevant[starts], np.bincount(query))  # so far, of the same query
    precision = np.add.reduceat(np.where(relevant, hits / (place + 1.0), 0.0), starts)
    every = np.add.reduceat(relevant.astype(np.float64), starts)
    judged = np.zeros((len(numbers), 3))
    judged[:, 1] = first
    np.divide(gain, ideal, out=judged[:, 0], where=ideal > 0)
    np.divide(precision, every, out=judged[:, 2], where=every > 0)
    return judged
