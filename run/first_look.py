"""One look at a model that is taken for fine-tuned, before anything is paid for: whether it knows the task."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from transformers import PreTrainedModel

from ..errors import InputError
from ..evaluation.model_error import constant_error, model_outputs
from ..tasks import Task
from ..tasks.split import Split
from .folder import RunFolder
from .project import device

_ROWS = 256  # of the selection split: a quarter of a minute on a slow processor, and enough to tell 0.5 from 0.7


def first_look(folder: RunFolder, model: PreTrainedModel, task: Task) -> None:
    """Evaluate a model on some rows of the selection split, and say if it does not know the task.

    Args:
        folder: the run, whose teller is told.
        model: as it came, with the task's head; is left as it was.
        task: whose classes are in the model's order, as far as their names tell.

    Raises:
        InputError: its outputs are not numbers.
    """
    rows = np.unique(np.linspace(0, len(task.selection) - 1, _ROWS).round().astype(np.int64))
    split, place = task.selection.take(task.selection.whole_groups(rows)), model.device
    model.to(device())  # pyright: ignore[reportArgumentType]
    outputs = model_outputs(model.eval(), split, pad_token_id=task.pad_token_id)
    model.to(place)  # pyright: ignore[reportArgumentType]
    name = folder.project.model
    if not np.isfinite(outputs).all():
        raise InputError(f"the outputs of {name} are not finite numbers; its weights are damaged, get it again")
    if task.kind.head == "embedding":  # it is what all others are held against
        return
    for line in findings(outputs, split, task):
        folder.tell.say(f"warning: {name} {line}")


def findings(outputs: np.ndarray, split: Split, task: Task) -> list[str]:
    """Say of outputs `(R, C)` of a split that they are worse than a constant answer, or right in another order."""
    score, constant = task.metric.score(outputs, split), 1 - constant_error(split, task.metric)
    seen = f"on {split.examples} rows of the selection split"
    order = _better_order(outputs, split)
    if order is not None:
        numbers, share, best = order
        names = {str(number): task.label_names[label] for label, number in enumerate(numbers)}
        mended = json.dumps(dict(sorted(names.items(), key=lambda item: int(item[0]))), ensure_ascii=False)
        return [
            f"answers {share:.1%} right {seen}, but would answer {best:.1%} right with its classes in another order: "
            f'they seem to have other names than its config.json says. Write "id2label": {mended} there and begin '
            "another run, or give another model"
        ]
    if score < constant:
        return [
            f"is worse than a constant answer: {seen} its {task.metric_title} is {score:.4f}, that answer's "
            f"{constant:.4f}. It may be of another task, or its classes may mean something else; give a model that was "
            "fine-tuned on these data, or a pre-trained one"
        ]
    return []


def _better_order(outputs: np.ndarray, split: Split) -> tuple[NDArray[np.int64], float, float] | None:
    """Return which output stands for each class if that is far better, with the shares that are right before and then.

    Far better: by more than three standard errors of a share, and with a third less wrong than the most frequent class
    has. The order with the most right answers is an assignment problem.
    """
    labels = np.concatenate(split.labels) if isinstance(split.labels, list) else np.asarray(split.labels)
    if labels.ndim > 1 or outputs.shape[1] < 2:  # spans, or several labels: no answer is one of the classes
        return None
    known = labels >= 0
    given, right = outputs[known].argmax(axis=1), labels[known].astype(np.int64)
    if not len(right):
        return None
    classes = outputs.shape[1]
    counts = np.zeros((classes, classes), np.int64)  # [label, output]
    np.add.at(counts, (right, given), 1)
    _, numbers = linear_sum_assignment(counts, maximize=True)
    share, best = np.trace(counts) / len(right), counts[np.arange(classes), numbers].sum() / len(right)
    margin = 3 * np.sqrt(0.25 / len(right))
    most = counts.sum(axis=1).max() / len(right)
    return (numbers, share, best) if best > share + margin and best - most > (1 - most) / 3 else None
