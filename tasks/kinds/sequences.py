"""One output for each text: a class, or a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..split import Split
from .kind import Kind, class_loss, soft_class_loss


class Classification(Kind):
    """A class for each text."""

    name, head, problem_type = "classification", "sequence-classification", "single_label_classification"
    has_classes = True

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy."""
        return class_loss(outputs, batch.labels, self.class_weights)

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Divergence from the teacher's softened probabilities."""
        return soft_class_loss(outputs, teacher, temperature)

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """One class each."""
        classes = np.eye(int(np.max(split.labels)) + 1)
        return (np.tile(one, (len(split), 1)) for one in classes)

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """The outputs `(n, C)` and the labels `(n,)`."""
        return outputs, np.asarray(split.labels)

    def unlabelled(self, split: Split) -> int:
        """Texts with a label below 0, as GLUE's test splits have."""
        return int((np.asarray(split.labels) < 0).sum())

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The likeliest class of each text."""
        return replace(split, labels=outputs.argmax(axis=1).astype(np.int64))

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Texts of another class."""
        return (given.argmax(axis=1) != right).astype(np.int64), np.ones(len(right), np.int64)


class Regression(Kind):
    """A number for each text."""

    name, head, problem_type = "regression", "sequence-classification", "regression"
    flips_whole = False

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean squared error."""
        return functional.mse_loss(outputs.float().squeeze(1), batch.labels.float())

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Mean squared difference; numbers have no temperature."""
        return functional.mse_loss(outputs, teacher)

    def distillation(
        self, outputs: Tensor, teacher: Tensor, batch: Batch, *, temperature: float, label_weight: float = 0.0
    ) -> Tensor:
        """The teacher's numbers alone: labels have nothing to add that is not in them on the same scale."""
        return super().distillation(outputs, teacher, batch, temperature=temperature)

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """The number said of each text and its label, both `(n,)` float64."""
        if outputs.shape[1] != 1:
            raise ValueError(f"a regression has one number per text, got outputs {outputs.shape}")
        return outputs[:, 0].astype(np.float64), np.asarray(split.labels, np.float64)

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """The median: no correlation cares which number it is, and by absolute differences none is nearer."""
        return (np.full((len(split), 1), np.median(np.asarray(split.labels))),)

    def unlabelled(self, split: Split) -> int:
        """Texts whose label is NaN."""
        return int(np.isnan(np.asarray(split.labels)).sum())

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The number said of each text."""
        return replace(split, labels=outputs[:, 0].astype(np.float32))

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the numbers are apart, and how far the right ones are from their median.

        So a model that says the same of all texts is wholly otherwise, and one that says the same as the other not at
        all.
        """
        return np.abs(given - right), np.abs(right - np.median(right))

    def doubted(self, outputs: Tensor, batch: Batch, generator: torch.Generator) -> Batch:
        """Numbers around the model's own, normally distributed: at its own the squared error has no gradient.

        The squared gradients are then those of the Fisher information of a model whose numbers have such an error; its
        size changes no order.
        """
        own = outputs.detach().float().squeeze(1)
        noise = torch.randn(own.shape, generator=generator, device=own.device)
        return replace(batch, labels=own + noise)
