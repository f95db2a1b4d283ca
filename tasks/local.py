"""A task from local files: of train and validation, or of a single table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .agreement import AGREEMENT
from .corpus import LINES, read_lines
from .kinds import KindName
from .metrics import METRICS, metric_name
from .parts import find_parts, report_origin, title_of
from .rows import Columns, Rows, TaskTexts, check_two_classes, class_number, with_names
from .splitting import REPORT_FRACTION, divide
from .tables import READERS, class_names, column, group_column, numbered, read_labels, read_table, text_column
from .texts import Texts, no_labels

Labels = list[str] | list[int] | list[float]


def load_local(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load a task from files of the types of READERS.

    Args:
        data: files, see :func:`~.parts.find_parts`: of train and validation; or of one table, of which a fifth,
            stratified and drawn by ``seed``, becomes the report split. Texts without labels may be lines of `.txt`
            files, too.
        columns: what its columns mean.
        seed: decides which rows of a single table are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, labels that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'local' needs `data`: a folder with train.csv and validation.csv, or a single file")
    parts = find_parts(data, READERS if columns.unlabelled is None else {**READERS, LINES: read_lines})
    read = {split: _Read.of(paths, columns) for split, paths in parts.items()}
    if (alone := columns.unlabelled) is not None:
        count = len(alone.label_names)
        texts = {split: one.texts(no_labels(alone.kind, len(one.first), count)) for split, one in read.items()}
        train, report = _reported(texts, seed)
        return TaskTexts(alone.kind, alone.label_names, AGREEMENT, train, report, report_origin(parts))
    kind = columns.kind or _kind_of(read["train"].labels)
    labels = {split: one.named_labels() if kind == "classification" else one.labels for split, one in read.items()}
    where = {split: one.where for split, one in read.items()}
    names, encoded = _encode(kind, labels, where, columns.label or "label", read["train"].names)
    check_two_classes(encoded["train"], where["train"])
    texts = {split: one.texts(encoded[split]) for split, one in read.items()}
    metric = metric_name(columns.metric, kind, "spearman" if kind == "regression" else "accuracy")
    positive = _positive(columns.positive, metric, kind, names, encoded["train"])
    train, report = _reported(texts, seed)
    return TaskTexts(kind, names, metric, train, report, report_origin(parts), positive)


@dataclass(frozen=True)
class _Read:
    """The files of a split, one after another: `n` rows.

    Attributes:
        where: what messages call them.
        paths: the files, and how many rows each has.
        first, second: texts; the second ones of pairs.
        groups: of each row; None if it is of none.
        labels: of one type; nothing where they are not looked at.
        class_names: of the numbers that each file has as labels, if it names them.
    """

    where: str
    paths: tuple[tuple[Path, int], ...]
    first: list[str]
    second: list[str] | None
    groups: list[str] | None
    labels: Labels
    class_names: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, paths: tuple[Path, ...], columns: Columns) -> _Read:
        """Read files, whose errors name the one that they are in."""
        readers = READERS if columns.unlabelled is None else {**READERS, LINES: read_lines}
        first, second, groups, labels, sizes, names = [], [], [], [], [], []
        for path in paths:
            table = read_table(path, readers)
            first += text_column(table, columns.text or "text", path)
            second += [] if columns.pair is None else text_column(table, columns.pair, path)
            groups += group_column(table, columns.group, path) or []
            if columns.unlabelled is None:
                name = columns.label or "label"
                read_labels(table, name, path)
                labels += column(table, name, path)
                names.append(class_names(path, name))
            sizes.append((path, len(first) - sum(size for _, size in sizes)))
        where = str(paths[0]) if len(paths) == 1 else title_of(paths)
        return cls(
            where,
            tuple(sizes),
            first,
            None if columns.pair is None else second,
            None if columns.group is None else groups,
            read_labels({"label": labels}, "label", where) if labels else [],
            tuple(names),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of classes that all files keep; nothing where they do not agree."""
        return self.class_names[0] if len(set(self.class_names)) == 1 else ()

    def named_labels(self) -> Labels:
        """Return class numbers as the names that their files keep of them."""
        found, begin = [], 0
        for (path, size), names in zip(self.paths, self.class_names, strict=True):
            found += with_names(self.labels[begin : begin + size], names, path)
            begin += size
        return found

    def texts(self, labels: NDArray[np.int64] | NDArray[np.float32]) -> Texts:
        """Return the texts with labels."""
        return Texts(self.first, self.second, labels, numbered(self.groups))


def _reported(texts: dict[str, Texts], seed: int) -> tuple[Texts, dict[str, Rows]]:
    """Return what is trained on, and what is reported on: the file of its own, or a part of the only file."""
    if "validation" in texts:
        return texts["train"], {"validation": texts["validation"]}
    everything = texts["train"]
    divided = divide(everything, REPORT_FRACTION, None, np.random.default_rng(seed))
    return everything.take(divided.kept), {"validation": everything.take(divided.held_out)}


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
    kind: KindName, labels: Mapping[str, Labels], paths: Mapping[str, str], column: str, named: tuple[str, ...]
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
