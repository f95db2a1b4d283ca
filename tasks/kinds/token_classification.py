"""A class for each token, such as the kind of name it belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..batches import Batch
from ..split import Split
from .entities import entities, entity_tags
from .kind import UNLABELLED, Kind, class_loss, soft_class_loss


class TokenClassification(Kind):
    """A class for each word, read at its first token."""

    name, head = "token-classification", "token-classification"
    flips_whole = False
    has_classes = True

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy of the tokens that have a label."""
        return class_loss(outputs, batch.labels, self.class_weights)

    def terms(self, split: Split, rows: NDArray[np.int64]) -> int:
        """Return how many tokens have a label; 1 where none has."""
        return max(1, sum(int((split.labels[i] != UNLABELLED).sum()) for i in rows))

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Divergence from the teacher's softened probabilities, of tokens that have a label; of all if none has."""
        told = batch.labels != UNLABELLED
        if told.any():
            outputs, teacher = outputs[told], teacher[told]
        return soft_class_loss(outputs, teacher, temperature)

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """One class each."""
        return (np.tile(one, (int(split.output_counts.sum()), 1)) for one in np.eye(len(split.tags)))

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Counts of each text, `(n, 5)`, and as many rows of nothing.

        They are the entities that are right, predicted, and there, 0 for tags that are none of entities; the words
        whose tag is right, and all words.
        """
        if outputs.shape[1] != len(split.tags):
            raise ValueError(f"{len(split.tags)} tags need as many outputs for each token, got outputs {outputs.shape}")
        predicted = np.split(outputs.argmax(axis=1), np.cumsum(split.output_counts)[:-1])
        of_entities = entity_tags(split.tags)
        counts = np.zeros((len(split), 5), np.int64)
        for i, (labels, classes) in enumerate(zip(split.labels, predicted, strict=True)):
            told = labels != UNLABELLED
            right, given = labels[told], classes[told]
            if of_entities is not None:
                gold, found = (entities(tuple(of_entities[j] for j in known)) for known in (right, given))
                counts[i, :3] = len(gold & found), len(found), len(gold)
            counts[i, 3:] = (right == given).sum(), len(right)
        return counts, np.empty((len(split), 0))

    def unlabelled(self, split: Split) -> int:
        """Texts of which no token has a label."""
        return sum(bool((labels == UNLABELLED).all()) for labels in split.labels)

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The likeliest class of each word, at its first token: where there are labels, right ones or not."""
        classes = np.split(outputs.argmax(axis=1).astype(np.int64), np.cumsum(split.output_counts)[:-1])
        pairs = zip(split.labels, classes, strict=True)
        return replace(split, labels=[np.where(labels != UNLABELLED, own, UNLABELLED) for labels, own in pairs])

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Words of another tag, of each sentence's."""
        return given[:, 4] - given[:, 3], given[:, 4]
