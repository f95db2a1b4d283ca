"""A span of a context that answers a question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..batches import Batch
from ..split import Split
from .kind import Kind, divergence
from .spans import answer_places, answers, tokens_at
from .squad_rules import scores

_NOWHERE = -1e4  # a logit that leaves no probability, and times zero is zero


class QuestionAnswering(Kind):
    """Where an answer begins and ends: of each token the logits of both, `(R, 2)`; the first token is "no answer"."""

    name, head = "question-answering", "question-answering"

    def label_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Cross-entropy over a text's tokens, the mean of that of the first and that of the last token."""
        return functional.cross_entropy(batch.padded(outputs.float(), _NOWHERE), batch.labels)

    def soft_loss(self, outputs: Tensor, teacher: Tensor, batch: Batch, temperature: float) -> Tensor:
        """Divergence from the teacher's softened probabilities over a text's tokens."""
        student, target = (batch.padded(logits / temperature, _NOWHERE) for logits in (outputs, teacher))
        return temperature**2 * divergence(student, torch.softmax(target, dim=1))  # mean over (B, 2)

    def constants(self, split: Split) -> Iterable[np.ndarray]:
        """No answer to any question, or the first word of the context where each question has an answer."""
        ends = np.cumsum(split.output_counts)
        outputs = np.zeros((int(ends[-1]), 2))
        outputs[ends - split.output_counts] = 1.0
        return (outputs,)

    def compared(self, outputs: np.ndarray, split: Split) -> tuple[np.ndarray, np.ndarray]:
        """Of each question the exact match and the F1 of its answer, `(m, 2)`, and as many rows of nothing."""
        if split.passages is None or outputs.shape[1] != 2:
            raise ValueError(f"answers need passages and two outputs for each token, got outputs {outputs.shape}")
        passages = split.passages
        judged = scores(answers(outputs, split), passages.answers, unanswerable=passages.unanswerable)
        return judged, np.empty((len(judged), 0))

    def unlabelled(self, split: Split) -> int:
        """Texts whose answer was not published: a first token below 0."""
        return int((np.asarray(split.labels)[:, 0] < 0).sum())

    def answered(self, outputs: np.ndarray, split: Split) -> Split:
        """The likeliest span of each context, in every window that holds it; no answer where there is none."""
        assert split.passages is not None
        passages, said = split.passages, answers(outputs, split)
        texts = tuple((text,) if text or not passages.unanswerable else () for text in said)
        labels = tokens_at(answer_places(outputs, split), passages)
        return replace(split, labels=labels, passages=replace(passages, answers=texts))

    def flips(self, given: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Questions whose answers are other words, by SQuAD's rules of what counts of an answer."""
        return 1 - given[:, 0].astype(np.int64), np.ones(len(given), np.int64)
