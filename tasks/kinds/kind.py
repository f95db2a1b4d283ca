"""A kind of task: which head a model needs, what its outputs are taught, and what a metric compares.

Nothing outside `tasks` knows more of a task than this. Outputs are `(R, C)`: one for each text, or one for each real
token, text after text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..split import Split

Head = Literal["sequence-classification", "question-answering", "token-classification", "embedding"]
KindName = Literal["classification", "regression", "question-answering", "token-classification", "embedding"]
ProblemType = Literal["regression", "single_label_classification"]
UNLABELLED = -100  # of a token that nothing is said about, and of answers that were not published


class Kind(ABC):
    """What the outputs of a model mean.

    Attributes:
        name: as in KINDS.
        head: what makes the outputs.
        problem_type: what a checkpoint's configuration says of its outputs, which programs that serve it go by; None
            for a head whose outputs mean one thing only.
    """

    name: ClassVar[KindName]
    head: ClassVar[Head]
    problem_type: ClassVar[ProblemType | None] = None

    @property
    def per_token(self) -> bool:
        """Whether there is an output for each token."""
        return self.head not in ("sequence-classification", "embedding")

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return what labels teach, the mean over what is labelled: a scalar in float32."""

    def scoring_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return the loss whose gradients tell how much the whole model's units matter: what labels teach."""
        return self.loss(outputs, batch)

    def terms(self, split: Split, rows: NDArray[np.int64]) -> int:
        """Return how many losses the mean of the texts at `rows` has: so many times it is the sum of each text's own.

        Args:
            split: with labels.
            rows: positions in it.
        """
        return len(rows)

    @abstractmethod
    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Return what a teacher's outputs `(R, C)` teach, a scalar in float32.

        `T^2 * KL(softmax(t / T), softmax(s / T))`, 0 where the two agree, or for numbers the mean squared difference.

        Source: Hinton et al., 2015.
        """

    def distillation(
        self, outputs: Tensor, teacher: Tensor, batch: Batch, *, temperature: float, label_weight: float = 0.0
    ) -> Tensor:
        """Return `label_weight * loss + soft_loss`; no gradient flows into the teacher's outputs.

        Source: Klein et al., TMLR 2024, section 3.
        """
        loss = self.soft_loss(outputs.float(), teacher.detach().float(), batch, temperature)
        return loss + label_weight * self.loss(outputs, batch) if label_weight else loss

    @abstractmethod
    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Return what a metric compares, example by example: answers `(m, ...)` and references `(m, ...)`.

        Args:
            outputs: `(R, C)`, numbers.
            split: what they belong to.
        """

    @abstractmethod
    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """Return the outputs `(R, C)` of the models that say the same of every text or token."""

    @abstractmethod
    def unlabelled(self, split: Split) -> int:
        """Return how many texts of a split lack their label."""


def class_loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits `(R, C)` and labels `(R,)`, without those that are UNLABELLED."""
    total = functional.cross_entropy(outputs.float(), labels, ignore_index=UNLABELLED, reduction="sum")
    return total / (labels != UNLABELLED).sum().clamp(min=1)


def soft_class_loss(outputs: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return `T^2 * KL(softmax(t / T), softmax(s / T))` of logits `(R, C)`, the mean over R."""
    target = torch.softmax(teacher / temperature, dim=1)
    return temperature**2 * divergence(outputs / temperature, target)


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean of `KL(target, softmax(logits))`.

    Cross-entropy has the same gradient, but its least value is the target's entropy: at a high temperature a constant
    that hides whether anything is learnt.

    Args:
        logits: `(R, C, ...)`.
        target: probabilities of the same shape.
    """
    return functional.cross_entropy(logits, target) - torch.special.entr(target).sum(1).mean()
