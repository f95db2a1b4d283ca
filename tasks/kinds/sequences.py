"""One output for each text: a class, or a number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
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


class Regression(Kind):
    """A number for each text."""

    name, head, problem_type = "regression", "sequence-classification", "regression"

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
        """Zero."""
        return (np.zeros((len(split), 1)),)

    def unlabelled(self, split: Split) -> int:
        """Texts whose label is NaN."""
        return int(np.isnan(np.asarray(split.labels)).sum())
