"""A vector for each text, as near to the whole model's as can be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..neighbours import directions, nearest, retrieval
from ..relations import Pairs, Relevance
from ..split import Split
from .kind import Kind

AGREEMENT, RECALL, NDCG, LIKENESS = range(4)  # columns of what is compared
_ALIKE = 10.0  # what the similarities of a batch weigh beside the vectors themselves: their squares are smaller


class Embedding(Kind):
    """A vector for each text; the labels are the whole model's vectors, `(n, C)`."""

    name, head = "embedding", "embedding"
    flips_whole = False
    noisy = False  # as near to the whole model's in three quarters of the time: docs/results/embedding.md

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """What the whole model's vectors teach."""
        return _distance(outputs.float(), batch.labels.float())

    def scoring_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The squared distance, over 2, of directions to the same with standard normal noise, the mean over texts.

        At the whole model its own vectors have no gradient. With labels drawn about them, the squares of gradients are
        Fisher's information of the direction, as they are with labels drawn from a classifier's probabilities.
        The noise is a text's own, the same each time.
        """
        ours = functional.normalize(outputs.float(), dim=1)
        noise = np.stack([np.random.default_rng(int(row)).standard_normal(outputs.shape[1]) for row in batch.index])
        drawn = ours.detach() + torch.from_numpy(noise).to(ours)
        return (ours - drawn).square().sum(1).mean() / 2

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Distance of vectors, and of the similarities within the batch; vectors have no temperature.

        `1 - cos(s_i, t_i)`, the mean over texts, and ten times the mean over pairs of texts of
        `(cos(s_i, s_j) - cos(t_i, t_j))^2`.

        Source: Park et al., "Relational knowledge distillation", CVPR 2019; Tung and Mori, "Similarity-preserving
        knowledge distillation", ICCV 2019, whose matrices are compared off their diagonals here.
        """
        return _distance(outputs, teacher)

    def distillation(
        self, outputs: Tensor, teacher: Tensor, batch: Batch, *, temperature: float, label_weight: float = 0.0
    ) -> Tensor:
        """The teacher's vectors alone: labels are the whole model's."""
        return super().distillation(outputs, teacher, batch, temperature=temperature)

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """The mean direction of the whole model's vectors."""
        return (np.tile(directions(_known(split)).mean(axis=0), (len(split), 1)),)

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return what is known of each text, pair or query, `(m, 4)`, and the scores of pairs, `(m, 1)`.

        The four are: cosine of a vector and the whole model's, the mean over the texts of a pair, or a query's and
        those of the documents that are relevant to it; recall and nDCG of the ten nearest other texts, held against
        the whole model's ten, or of the ten nearest documents, held against the relevant ones; the cosine of a pair.
        What there is not is NaN.
        """
        known = _known(split)
        if outputs.shape != known.shape:
            raise ValueError(f"vectors {outputs.shape} are compared with the whole model's, got {known.shape}")
        vectors, relations = directions(outputs), split.relations
        agreement = (vectors * directions(known)).sum(axis=1)
        if isinstance(relations, Relevance):
            count = len(relations)
            found = nearest(vectors[:count], vectors[count:])
            texts = [[row, *(count + place for place in grades)] for row, grades in enumerate(relations.grades)]
            ours = np.array([agreement[rows].mean() for rows in texts])
            return _columns(ours, *retrieval(found, relations.grades)), np.full((count, 1), np.nan)
        whole: list[Mapping[int, float]] = [dict.fromkeys(row.tolist(), 1.0) for row in split.nearest]
        values = _columns(agreement, *retrieval(nearest(vectors), whole))
        if not isinstance(relations, Pairs):
            return values, np.full((len(values), 1), np.nan)
        values = values.reshape(len(relations), 2, -1).mean(axis=1)
        values[:, LIKENESS] = (vectors[::2] * vectors[1::2]).sum(axis=1)
        return values, relations.scores[:, None]

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The vectors themselves."""
        return replace(split, labels=outputs.astype(np.float32))

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By how much directions differ: 1 less their cosines, of 1."""
        return 1.0 - given[:, AGREEMENT], np.ones(len(given))

    def unlabelled(self, split: Split) -> int:
        """All texts, as long as the whole model has not said what their vectors are."""
        return len(split) if _known(split).shape[1] == 0 else 0


def _known(split: Split) -> NDArray[np.float32]:
    return np.asarray(split.labels, np.float32)


def _distance(outputs: Tensor, teacher: Tensor) -> Tensor:
    ours, theirs = functional.normalize(outputs, dim=1), functional.normalize(teacher, dim=1)
    loss = 1 - (ours * theirs).sum(1).mean()
    if len(ours) < 2:
        return loss
    apart = (ours @ ours.T - theirs @ theirs.T).square()  # the diagonal is zero
    return loss + _ALIKE * apart.sum() / (len(ours) * (len(ours) - 1))


def _columns(agreement: NDArray, recall: NDArray, ndcg: NDArray) -> NDArray[np.float64]:
    return np.stack([agreement, recall, ndcg, np.full(len(agreement), np.nan)], axis=1)
