"""Any number of labels for each text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..class_scores import best_thresholds
from ..split import Split
from .kind import Kind

_SURE = 50.0  # a logit beyond all thresholds


class Multilabel(Kind):
    """Whether each of several labels holds of a text; none may."""

    name, head, problem_type = "multilabel", "sequence-classification", "multi_label_classification"
    has_classes = thresholded = True

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Binary cross-entropy, the mean over texts and labels."""
        outputs = outputs.float()
        weight = outputs.new_tensor(self.class_weights) if self.class_weights else None
        return functional.binary_cross_entropy_with_logits(outputs, batch.labels.float(), pos_weight=weight)

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Divergence from the teacher's softened probability of each label: `T^2 * KL(sigmoid(t/T), sigmoid(s/T))`."""
        target = torch.sigmoid(teacher / temperature)
        least = torch.special.entr(target) + torch.special.entr(1 - target)
        loss = functional.binary_cross_entropy_with_logits(outputs / temperature, target) - least.mean()
        return temperature**2 * loss

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """The outputs and the labels, `(n, C)` each."""
        labels = np.asarray(split.labels)
        if outputs.shape != labels.shape:
            raise ValueError(f"{labels.shape[1]} labels need as many outputs for each text, got {outputs.shape}")
        return outputs, labels

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """The most frequent labels of all texts: none of them, one, two, and so on to all."""
        often = np.argsort(-np.asarray(split.labels).sum(axis=0), kind="stable")
        for count in range(len(often) + 1):
            outputs = np.full((len(split), len(often)), -_SURE)
            outputs[:, often[:count]] = _SURE
            yield outputs

    def unlabelled(self, split: Split) -> int:
        """Texts of which some label is neither 0 nor 1."""
        return int((np.asarray(split.labels) < 0).any(axis=1).sum())

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The labels that are more likely than not."""
        return replace(split, labels=(outputs > 0).astype(np.int64))

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Texts of which another set of labels is said."""
        return ((given > 0) != right).any(axis=1).astype(np.int64), np.ones(len(right), np.int64)

    def thresholds(self, outputs: np.ndarray, split: Split) -> tuple[float, ...]:
        """The probability of each label from which on it is said: that of the highest F1."""
        return best_thresholds(*self.compared(outputs, split))
