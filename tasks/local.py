"""A task from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError
from .kinds import KindName
from .metrics import METRICS, metric_name
from .rows import Columns, Rows, TaskTexts, check_two_classes, class_number, with_names
from .splitting import REPORT_FRACTION, divide, report_origin
from .tables import READERS, class_names, find_files, read_labels, read_table, text_column
from .texts import Texts

Labels = list[str] | list[int] | list[float]


def load_local(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load a task from files of the types of READERS.

    Args:
        data: a folder that holds `train` and `validation` with one of their endings each; or one file, of which a
            fifth, stratified and drawn by ``seed``, becomes the report split.
        columns: what its columns mean.
        seed: decides which rows of a single file are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, labels that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'local' needs `data`: a folder with train.csv and validation.csv, or a single file")
    paths = find_files(data, ("train", "validation"), READERS) if data.is_dir() else {"train": data}
    read: dict[str, tuple[list[str], list[str] | None]] = {}
    labels: dict[str, Labels] = {}
    named: dict[str, tuple[str, ...]] = {}
    for split, path in paths.items():
        table = read_table(path)
        second = None if columns.pair is None else text_column(table, columns.pair, path)
        read[split] = text_column(table, columns.text or "text", path), second
        labels[split] = read_labels(table, columns.label or "label", path)
        named[split] = class_names(path, columns.label or "label")
    kind = columns.kind or _kind_of(labels["train"])
    if kind == "classification":
        labels = {split: with_names(values, named[split], paths[split]) for split, values in labels.items()}
    names, encoded = _encode(kind, labels, paths, columns.label or "label", named["train"])
    check_two_classes(encoded["train"], paths["train"])
    texts = {split: Texts(*read[split], encoded[split]) for split in paths}
    metric = metric_name(columns.metric, kind, "spearman" if kind == "regression" else "accuracy")
    positive = _positive(columns.positive, metric, kind, names, encoded["train"])
    if "validation" not in texts:
        everything = texts["train"]
        divided = divide(everything, REPORT_FRACTION, None, np.random.default_rng(seed))
        texts = {"train": everything.take(divided.kept), "validation": everything.take(divided.held_out)}
    report: dict[str, Rows] = {"validation": texts["validation"]}
    return TaskTexts(kind, names, metric, texts["train"], report, report_origin(paths), positive)


def _positive(asked: str | None, metric: str, kind: KindName, names: tuple[str, ...], labels: np.ndarray) -> int:
    """Return the class whose F1 is told: the one that is asked for, or the rarer of two, the second if none is."""
    of_one = metric in METRICS and METRICS[metric].positive is not None
    if asked is not None and (kind != "classification" or (not of_one and len(names) != 2)):
        raise InputError(
            f"`positive` names the class whose F1 is told, but the metric of this {kind} is {metric}; set it to f1, or "
            "leave `positive` out"
        )
    if asked is not None:
        return class_number(asked, names)
    if of_one and len(names) != 2:
        raise InputError(
            f"the metric {metric} needs 2 classes, but the labels have {len(names)}; say by `positive` whose is meant, "
            "or use accuracy or macro_f1"
        )
    rows = np.bincount(labels, minlength=2) if kind == "classification" else np.ones(2)
    return int(rows[0] >= rows[1])


def _kind_of(labels: Labels) -> KindName:
    """Return "regression" for labels with fractions: 0.0 and 1.0 are classes that some program wrote as floats."""
    return "regression" if any(isinstance(v, float) and not v.is_integer() for v in labels) else "classification"


def _encode(
    kind: KindName, labels: dict[str, Labels], paths: dict[str, Path], column: str, named: tuple[str, ...]
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the label names and the labels of each split as numbers.

    Classes are numbered as in `named`, the names that train's file keeps, else in sorted order.
    """
    for split, values in labels.items():
        if kind == "regression" and isinstance(values[0], str | bool):
            raise InputError(
                f"a regression needs numbers, but column {column!r} of {paths[split]} holds {values[0]!r}; "
                "name another label column or set the kind to classification"
            )
        odd = next((v for v in values if isinstance(v, float) and not v.is_integer()), None)
        if kind == "classification" and odd is not None:
            raise InputError(
                f"a classification needs classes, but column {column!r} of {paths[split]} holds {odd}; "
                "name another label column or set the kind to regression"
            )
    if kind == "regression":
        return ("score",), {split: np.asarray(values, np.float32) for split, values in labels.items()}

    def name(value: str | int | float) -> str:  # "1" in a file of strings, 1 and 1.0 are one class in every split
        return str(int(value) if isinstance(value, float) else value)

    classes = {split: [name(value) for value in values] for split, values in labels.items()}
    known = list(named) if set(classes["train"]) <= set(named) else [name(v) for v in sorted(set(labels["train"]))]
    number = {name: i for i, name in enumerate(known)}
    for split, values in classes.items():
        unseen = sorted(set(values) - set(number))
        if unseen:
            raise InputError(
                f"{paths[split]} has labels that {paths['train']} does not have: {', '.join(unseen[:5])}; "
                f"train has: {', '.join(known[:10])}"
            )
    encoded = {split: np.array([number[v] for v in values], np.int64) for split, values in classes.items()}
    return tuple(known), encoded
