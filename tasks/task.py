"""What a subnetwork is measured on: tokenised splits and a metric."""

from __future__ import annotations

from dataclasses import dataclass

from .kinds import Kind
from .metrics import METRICS, Metric
from .rows import PUBLISHED
from .split import Split

__all__ = ["METRICS", "Metric", "Split", "Task"]


@dataclass(frozen=True)
class Task:
    """A data set, tokenised for one model, and its metric.

    Attributes:
        name: as in TASKS.
        kind: which head its models need, what teaches them.
        label_names: the name of each class; `("score",)` for regression, `("start", "end")` for question answering.
        metric: how outputs are judged.
        train: what weights are fitted on.
        selection: held out of train; what a search or a pruner chooses on.
        report: the validation splits by name, each looked at once per reported model.
        pad_token_id: fills up short rows of a batch.
        truncated: texts of all splits that were cut because they are longer than the model's positions; contexts of
            questions never are.
        fingerprint: hash of data, tokenisation and splits; identifies the data in run.json.
        is_pair: each text is a pair of texts.
        report_origin: where the report splits come from, in words.
        alike: share of the rows that train and selection were drawn from that are equal to another one, or part of it;
            they are on one side each, with what they are part of.
        left_out: how many of these are on neither side, since they are part of rows on both.
        positive: of two classes, the one whose F1 is told beside the metric.
        answered: the labels are the answers of the model that all others are cut from.
    """

    name: str
    kind: Kind
    label_names: tuple[str, ...]
    metric: Metric
    train: Split
    selection: Split
    report: dict[str, Split]
    pad_token_id: int
    truncated: int
    fingerprint: str
    is_pair: bool
    report_origin: str = PUBLISHED
    alike: float = 0.0
    left_out: int = 0
    positive: int = 1
    answered: bool = False

    @property
    def metric_title(self) -> str:
        """The metric, with all that it depends on: "f1 of fraud"; or with what it is agreement with."""
        if self.answered:
            return f"{self.metric.name} with the whole model"
        return self.metric.title(self.label_names)

    @property
    def likeness(self) -> str:
        """What was done about near-duplicates, in words; empty if there are none."""
        if not self.alike:
            return ""
        left = f", {self.left_out:,} that belong to both are left out" if self.left_out else ""
        return f"{self.alike:.1%} of the rows are equal to another one or part of it, and on its side{left}"

    @property
    def num_labels(self) -> int:
        """Outputs a model of this task has: one per class, 1 for regression, 2 for question answering."""
        return len(self.label_names)
