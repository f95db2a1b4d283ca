"""A kind of task: which head a model needs, what its outputs are taught, and what a metric compares.

Nothing outside `tasks` knows more of a task than this. Outputs are `(R, C)`: one for each text, or one for each real
token, text after text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ...errors import InputError
from ..batches import Batch
from ..split import Split

Head = Literal["sequence-classification", "question-answering", "token-classification", "embedding"]
KindName = Literal[
    "classification", "regression", "multilabel", "ranking", "question-answering", "token-classification", "embedding"
]
ProblemType = Literal["regression", "single_label_classification", "multi_label_classification"]
UNLABELLED = -100  # of a token that nothing is said about, and of answers that were not published


@dataclass(frozen=True)
class Kind(ABC):
    """What the outputs of a model mean.

    Attributes:
        name: as in KINDS.
        head: what makes the outputs.
        problem_type: what a checkpoint's configuration says of its outputs, which programs that serve it go by; None
            for a head whose outputs mean one thing only.
        flips_whole: each text or question is answered otherwise or is not, as a whole.
        has_classes: labels are of classes, which can count more or less in the loss.
        noisy: what learns from a larger model learns with dropout.
        thresholded: thresholds decide what a served model says, see :meth:`thresholds`.
        own_loss: what labels teach in the place of :meth:`label_loss`: of outputs in float32 and labels; None if not.
        class_weights: what each class counts in the loss of labels; empty if all count as often as they occur.
    """

    name: ClassVar[KindName]
    head: ClassVar[Head]
    problem_type: ClassVar[ProblemType | None] = None
    flips_whole: ClassVar[bool] = True
    has_classes: ClassVar[bool] = False
    noisy: ClassVar[bool] = True
    thresholded: ClassVar[bool] = False
    own_loss: Callable[[Tensor, Tensor], Tensor] | None = None
    class_weights: tuple[float, ...] = ()

    @property
    def per_token(self) -> bool:
        """Whether there is an output for each token."""
        return self.head not in ("sequence-classification", "embedding")

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return what labels teach, the mean over what is labelled: a scalar in float32."""
        if self.own_loss is not None:
            return self.own_loss(outputs.float(), batch.labels)
        return self.label_loss(outputs, batch)

    @abstractmethod
    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Return what labels teach unless the user has a loss of their own; as :meth:`loss`."""

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

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """Return a split with what a model says, by its outputs `(R, C)`, in the place of the labels.

        Raises:
            InputError: a kind of which no model can stand in for labels.
        """
        raise InputError(f"the answers of a model cannot stand in for the labels of a {self.name}; give labels")

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how much of each example is answered otherwise, and of how much, `(m,)` each.

        Integers are counts: 0 or 1 of one text or question, or so many words of a sentence.

        Args:
            given: as :meth:`compared` returns them, of a split that a model answered.
            right: likewise.
        """
        raise InputError(f"two models of a {self.name} give no answers that could differ; leave the flip rate out")

    def doubted(self, outputs: Tensor, batch: Batch, generator: torch.Generator) -> Batch:
        """Return a batch that a model answered itself with labels that its loss has a gradient at.

        As it is where outputs are logits: the loss of a model's own class is 0 only of one that has no doubt.

        Args:
            outputs: the model's, `(R, C)`.
            batch: its answers are the labels.
            generator: of what is drawn.
        """
        return batch

    def thresholds(self, outputs: np.ndarray, split: Split) -> tuple[float, ...]:
        """Return the probability from which on each class is said; nothing where the likeliest one is.

        Args:
            outputs: `(R, C)`, numbers.
            split: what they belong to; the selection split, for the report split must not choose.
        """
        return ()


def class_loss(outputs: Tensor, labels: Tensor, weights: tuple[float, ...] = ()) -> Tensor:
    """Return the mean cross-entropy of logits `(R, C)` and labels `(R,)`, without those that are UNLABELLED.

    Terms are weighted by their class; the mean is that over texts all the same, so that parts of a batch add up.
    """
    outputs = outputs.float()
    weight = outputs.new_tensor(weights) if weights else None
    total = functional.cross_entropy(outputs, labels, weight=weight, ignore_index=UNLABELLED, reduction="sum")
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
