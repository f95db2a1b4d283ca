"""A task from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import InputError, unknown_name
from .agreement import AGREEMENT
from .corpus import LINES, read_lines
from .kinds import KindName
from .metrics import metric_name
from .rows import Columns, Rows, TaskTexts, check_two_classes, with_names
from .splitting import REPORT_FRACTION, divide, report_origin
from .tables import READERS, class_names, find_files, read_labels, read_table, text_column
from .texts import Texts, no_labels

Labels = list[str] | list[int] | list[float]


def load_local(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load a task from files of the types of READERS.

    Args:
        data: a folder that holds `train` and `validation` with one of their endings each; or one file, of which a
            fifth, stratified and drawn by ``seed``, becomes the report split. Texts without labels may be lines of
            `.txt` files, too.
        columns: what its columns mean.
        seed: decides which rows of a single file are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, labels that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'local' needs `data`: a folder with train.csv and validation.csv, or a single file")
    alone = columns.unlabelled
    readers = READERS if alone is None else {**READERS, LINES: read_lines}
    paths = find_files(data, ("train", "validation"), readers) if data.is_dir() else {"train": data}
    read: dict[str, tuple[list[str], list[str] | None]] = {}
    labels: dict[str, Labels] = {}
    named: dict[str, tuple[str, ...]] = {}
    for split, path in paths.items():
        table = read_table(path, readers)
        second = None if columns.pair is None else text_column(table, columns.pair, path)
        read[split] = text_column(table, columns.text or "text", path), second
        if alone is not None:
            continue
        labels[split] = read_labels(table, columns.label or "label", path)
        named[split] = class_names(path, columns.label or "label")
    if alone is not None:
        texts = {split: Texts(*both, no_labels(alone.kind, len(both[0]))) for split, both in read.items()}
        train, report = _reported(texts, seed)
        return TaskTexts(alone.kind, alone.label_names, AGREEMENT, train, report, report_origin(paths))
    kind = columns.kind or _kind_of(labels["train"])
    if kind == "classification":
        labels = {split: with_names(values, named[split], paths[split]) for split, values in labels.items()}
    names, encoded = _encode(kind, labels, paths, columns.label or "label", named["train"])
    check_two_classes(encoded["train"], paths["train"])
    texts = {split: Texts(*read[split], encoded[split]) for split in paths}
    metric = metric_name(columns.metric, kind, "spearman" if kind == "regression" else "accuracy")
    positive = _positive(columns.positive, metric, kind, names, encoded["train"])
    train, report = _reported(texts, seed)
    return TaskTexts(kind, names, metric, train, report, report_origin(paths), positive)


def _reported(texts: dict[str, Texts], seed: int) -> tuple[Texts, dict[str, Rows]]:
    """Return what is trained on, and what is reported on: the file of its own, or a part of the only file."""
    if "validation" in texts:
        return texts["train"], {"validation": texts["validation"]}
    everything = texts["train"]
    divided = divide(everything, REPORT_FRACTION, None, np.random.default_rng(seed))
    return everything.take(divided.kept), {"validation": everything.take(divided.held_out)}


def _positive(asked: str | None, metric: str, kind: KindName, names: tuple[str, ...], labels: np.ndarray) -> int:
    """Return the class whose F1 is told: the one that is asked for, or the rarer of two, the second if none is."""
    if asked is not None and (kind != "classification" or (metric != "f1" and len(names) != 2)):
        raise InputError(
            f"`positive` names the class whose F1 is told, but the metric of this {kind} is {metric}; set it to f1, or "
            "leave `positive` out"
        )
    if asked is not None:
        spelt = {name.casefold(): name for name in names}
        name = asked if asked in names else spelt.get(asked.casefold())
        if name is None:
            raise unknown_name("class", asked, names)
        return names.index(name)
    if metric == "f1" and len(names) != 2:
        raise InputError(
            f"the metric f1 needs 2 classes, but the labels have {len(names)}; say by `positive` whose F1 is meant, "
            "or use accuracy or matthews"
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
