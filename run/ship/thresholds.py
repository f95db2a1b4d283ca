"""The thresholds of a served model of several labels: what its configuration and its card say of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from transformers import PreTrainedConfig, PreTrainedModel

from ...evaluation.model_error import model_outputs
from ...supernet.shipping.model_card import markdown_table
from ...tasks import KINDS, Task
from ...tasks.metrics import Metric, metric_of

_TITLE = "Thresholds"
AT_THESE = "The report split's scores are at these thresholds, the whole model's at its own."
_SAID = """A label is said of a text from its own threshold on: the probability with the highest F1 on the selection
split, which `config.json` keeps as `thresholds`. {scores}

```python
classify = pipeline("text-classification", ..., top_k=None)
thresholds = classify.model.config.thresholds
said = [[one["label"] for one in row if one["score"] >= thresholds[one["label"]]] for row in classify(texts)]
```
"""


def as_served(model: PreTrainedModel, task: Task) -> Task:
    """Choose a model's thresholds on the selection split, where it needs some, and write them into its configuration.

    Its weights, and so its outputs, stay as they are.

    Returns:
        The task as the model is served on it: judged at these thresholds.
    """
    if not task.kind.thresholded:
        return task
    outputs = model_outputs(model, task.selection, pad_token_id=task.pad_token_id)
    if not np.isfinite(outputs).all():  # it has no thresholds, and its scores say so
        return task
    chosen = task.kind.thresholds(outputs, task.selection)
    model.config.thresholds = {name: float(f"{one:.6g}") for name, one in zip(task.label_names, chosen, strict=True)}
    return replace(task, metric=task.metric.at(tuple(model.config.thresholds.values())))


def needs_thresholds(config: PreTrainedConfig) -> bool:
    """Tell whether a model of a run is of a kind whose answers thresholds decide, without loading the run's task."""
    return any(kind.thresholded and kind.problem_type == config.problem_type for kind in KINDS.values())


def threshold_section(model: PreTrainedModel, task: Task, scores: str = AT_THESE) -> dict[str, str]:
    """Return what a card says of a model's thresholds, by its title; nothing if it has none.

    Args:
        model: as :func:`as_served` left it.
        task: its own, whose selection split chose them.
        scores: says which thresholds the card's scores are at.
    """
    thresholds = getattr(model.config, "thresholds", None)
    if not task.kind.thresholded or thresholds is None:
        return {}
    outputs = model_outputs(model, task.selection, pad_token_id=task.pad_token_id)

    def f1(number: int, metric: Metric) -> str:
        return f"{metric.of_class(number).score(outputs, task.selection):.4f}"

    plain = metric_of("f1", task.kind.name)
    chosen = plain.at(tuple(thresholds.values()))
    rows = [
        (name, f"{threshold:.3g}", f1(number, chosen), f1(number, plain))
        for number, (name, threshold) in enumerate(thresholds.items())
    ]
    header = ("label", "threshold", "F1 on the selection split", "at 0.5")
    return {_TITLE: f"{_SAID.format(scores=scores)}\n{markdown_table(header, rows)}"}
