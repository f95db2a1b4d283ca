"""Metrics and losses of the user's own, by their import paths."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from ..errors import InputError
from .batches import collate
from .kinds import UNLABELLED, Kind
from .kinds.ranking import Ranking
from .metrics import Metric
from .paths import own_function
from .split import Split

_ROWS = 64  # that a function is tried on


@dataclass(frozen=True)
class Teaching:
    """What labels teach, beyond what is usual for a kind of task.

    Attributes:
        loss: `mypackage.module:function` in the place of the kind's loss of labels: of outputs `(n, C)` float32 and
            labels `(n,)` or `(n, C)`, both tensors, to the mean loss, a scalar. None for the kind's own.
        listwise: of a ranking, labels teach which of a query's texts are better, not how good each is by itself.
        class_weights: "balanced" lets all classes count alike in the loss, however often they occur.
    """

    loss: str | None = None
    class_weights: Literal["balanced"] | None = None
    listwise: bool = False


def check_own_metric(metric: Metric, split: Split, num_labels: int) -> None:
    """Try a metric of the user's own on some texts, with outputs drawn at random.

    Raises:
        InputError: it fails, or returns no number.
    """
    split = split.take(np.arange(min(_ROWS, len(split))))
    outputs = np.random.default_rng(0).normal(size=(len(split), num_labels)).astype(np.float32)
    try:
        score = metric.score(outputs, split)
    except Exception as error:
        raise InputError(
            f"the metric {metric.name} fails on outputs {outputs.shape} and labels {np.shape(split.labels)} "
            f"({type(error).__name__}: {error}); it is called with these two arrays, and returns a number"
        ) from error
    if not math.isfinite(score):
        raise InputError(f"the metric {metric.name} returned {score}; it must return a finite number, higher is better")


def taught(kind: Kind, teaching: Teaching, train: Split, num_labels: int, pad_token_id: int) -> Kind:
    """Return a kind of task with what its labels teach, once it has been tried.

    Args:
        kind: of the task.
        teaching: what is asked for.
        train: the training split.
        num_labels: outputs of each text or token.
        pad_token_id: fills up short rows of a batch.

    Raises:
        InputError: a loss that fails, or one for another kind of task; weights where there are no classes.
    """
    if teaching.loss is not None and teaching.class_weights is not None:
        raise InputError(
            f"the loss {teaching.loss} is your own, and weighs classes itself; leave the class weights out"
        )
    if teaching.listwise:
        if not isinstance(kind, Ranking) or teaching.loss is not None:
            raise InputError(
                f"a listwise loss is one of a ranking's two, but the labels are a {kind.name}"
                f"{' with a loss of your own' if teaching.loss else ''}; leave it out"
            )
        kind = replace(kind, listwise=True)
    if teaching.class_weights is not None:
        if not kind.has_classes:
            raise InputError(f"class weights are for classes, but the labels are a {kind.name}; leave them out")
        return replace(kind, class_weights=balanced_weights(train, num_labels))
    if teaching.loss is None:
        return kind
    if kind.per_token:
        raise InputError(
            f"a loss of your own is of one output for each text, which a {kind.name} has not; leave it out"
        )
    own = replace(kind, own_loss=own_function(teaching.loss, "loss"))
    batch = collate(train, np.arange(min(_ROWS, len(train))), pad_token_id)
    outputs = torch.randn(len(batch), num_labels, generator=torch.Generator().manual_seed(0)).requires_grad_()
    try:
        loss = own.loss(outputs, batch)
        scalar = isinstance(loss, torch.Tensor) and loss.ndim == 0
        if scalar:
            loss.backward()
    except Exception as error:
        raise InputError(
            f"the loss {teaching.loss} fails on outputs {tuple(outputs.shape)} and labels {tuple(batch.labels.shape)} "
            f"({type(error).__name__}: {error}); it is called with these two tensors, and returns a scalar one"
        ) from error
    if not scalar or outputs.grad is None or not bool(torch.isfinite(loss)) or not bool(outputs.grad.isfinite().all()):
        raise InputError(
            f"the loss {teaching.loss} must return a finite scalar tensor that depends on the outputs, got {loss}"
        )
    return own


def balanced_weights(train: Split, num_labels: int) -> tuple[float, ...]:
    """Return what each class counts in the loss, so that all count alike and the mean over texts, or words, is 1.

    Of a label, which a text may lack, it is what a text that has it counts beside one that has not.

    Those of classes are scikit-learn's `class_weight="balanced"`.
    """
    labels = np.concatenate(train.labels) if isinstance(train.labels, list) else np.asarray(train.labels)
    if labels.ndim == 2:
        has = labels.sum(axis=0)
        return tuple(float(one) for one in (len(labels) - has) / np.maximum(has, 1))
    counts = np.bincount(labels[labels != UNLABELLED].astype(np.int64), minlength=num_labels)
    there = counts > 0
    weights = np.where(there, counts.sum() / (there.sum() * np.maximum(counts, 1)), 1.0)
    return tuple(float(one) for one in weights)
