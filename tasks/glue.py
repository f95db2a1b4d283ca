"""The nine tasks of GLUE, from the Hugging Face hub or from a folder of files.

Source: Wang et al., ICLR 2019, table 1, for the metrics; STS-B by Spearman's, MRPC and QQP by F1 alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .agreement import AGREEMENT
from .published import Published
from .rows import Rows, TaskTexts, Unlabelled, check_two_classes, class_labels, with_names
from .tables import Table, class_names, read_labels, text_column
from .texts import Texts, no_labels

HUB_NAME = "nyu-mll/glue"


@dataclass(frozen=True)
class GlueTask:
    """Layout of one GLUE task.

    Attributes:
        columns: one or two columns of texts.
        label_names: by class number; `("score",)` for a regression.
        metric: a name of METRICS.
        report: the published validation splits.
    """

    columns: tuple[str, ...]
    label_names: tuple[str, ...]
    metric: str = "accuracy"
    report: tuple[str, ...] = ("validation",)


_ENTAILMENT = ("entailment", "not_entailment")
GLUE: dict[str, GlueTask] = {
    "cola": GlueTask(("sentence",), ("unacceptable", "acceptable"), "matthews"),
    "sst2": GlueTask(("sentence",), ("negative", "positive")),
    "mrpc": GlueTask(("sentence1", "sentence2"), ("not_equivalent", "equivalent"), "f1"),
    "qqp": GlueTask(("question1", "question2"), ("not_duplicate", "duplicate"), "f1"),
    "stsb": GlueTask(("sentence1", "sentence2"), ("score",), "spearman"),
    "mnli": GlueTask(
        ("premise", "hypothesis"),
        ("entailment", "neutral", "contradiction"),
        report=("validation_matched", "validation_mismatched"),
    ),
    "qnli": GlueTask(("question", "sentence"), _ENTAILMENT),
    "rte": GlueTask(("sentence1", "sentence2"), _ENTAILMENT),
    "wnli": GlueTask(("sentence1", "sentence2"), ("not_entailment", "entailment")),
}


def load_glue(name: str, data: Path | None, unlabelled: Unlabelled | None = None) -> TaskTexts:
    """Load a GLUE task.

    Args:
        name: a name of GLUE.
        data: a folder that holds `<name>/train.parquet` and its validation files, or holds these files itself; None
            downloads the task from the hub, once.
        unlabelled: what answers in the place of labels, which are not read then.

    Raises:
        InputError: a missing folder, file or column, contents that are not this task, or no network.
    """
    task = GLUE[name]
    splits = {split: (split,) for split in ("train", *task.report)}
    tables = Published(f"GLUE's {name}", HUB_NAME, name, name).tables(splits, data)
    texts = {split: _texts(task, *tables[split], unlabelled) for split in splits}
    if unlabelled is not None:
        hidden: dict[str, Rows] = {split: texts[split] for split in task.report}
        return TaskTexts(unlabelled.kind, unlabelled.label_names, AGREEMENT, texts["train"], hidden)
    check_two_classes(texts["train"].labels, tables["train"][1])
    kind = "regression" if task.label_names == ("score",) else "classification"
    report: dict[str, Rows] = {split: texts[split] for split in task.report}
    return TaskTexts(kind, task.label_names, task.metric, texts["train"], report)


def _texts(task: GlueTask, table: Table, where: object, unlabelled: Unlabelled | None) -> Texts:
    columns = [text_column(table, name, where) for name in task.columns]
    second = columns[1] if len(columns) == 2 else None
    if unlabelled is not None:
        return Texts(columns[0], second, no_labels(unlabelled.kind, len(columns[0]), len(unlabelled.label_names)))
    values = read_labels(table, "label", where)
    if task.label_names != ("score",):
        labels = class_labels(_published(values, task.label_names, where), task.label_names, where)
    elif isinstance(values[0], str):
        raise InputError(f"{where} must hold numbers as labels, but holds {values[0]!r}; take STS-B's own files")
    else:
        labels = np.asarray(values, np.float32)
    return Texts(columns[0], second, labels)


def _published(values: list[Any], names: tuple[str, ...], where: object) -> list[Any]:
    """Return labels as the published numbers: from names, and from a file's own numbers if it names them otherwise."""
    own = class_names(where, "label") if isinstance(where, Path) else ()
    if sorted(own) == sorted(names):
        values = with_names(values, own, where)
    if set(values) <= set(names):
        return [names.index(value) for value in values]
    return values
