"""A task of several labels for a text from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .local import load_local
from .metrics import METRICS, metric_name
from .parts import find_parts, report_origin, title_of
from .rows import Columns, Rows, TaskTexts, class_number
from .splitting import REPORT_FRACTION, divide
from .tables import READERS, Table, class_names, column, group_column, numbered, read_table, text_column
from .texts import Texts

_COLUMN = "labels"
_SEVERAL = "f1, recall_at_precision"  # of one label only; the others are means over labels, too
_ANSWERS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


class _Labels(NamedTuple):
    """Labels as a file has them: of each row names, or 0 and 1 for each of `names`, `(n, C)`."""

    rows: list[list[str]] | NDArray[np.int64]
    names: tuple[str, ...]


class _Read(NamedTuple):
    """The files of a split, one after another: texts, the second ones of pairs, groups, labels."""

    first: list[str]
    second: list[str] | None
    groups: list[str] | None
    labels: _Labels


def load_multilabel(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load texts with any number of labels each, none among them.

    Args:
        data: files, see :func:`~.parts.find_parts`: of train and validation; or of one table, of which a fifth, drawn
            by ``seed``, becomes the report split.
        columns: what its columns mean. Labels are one column of lists, of names or of 0 and 1, or several columns of 0
            and 1, named with commas between them.
        seed: decides which rows of a single file are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, labels that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'multilabel' needs `data`: a folder with train and validation, or a single file")
    if columns.kind is not None:
        raise InputError(f"the task 'multilabel' is of one kind, got the kind {columns.kind}; leave it out")
    if columns.unlabelled is not None:
        return load_local(data, columns, seed)  # texts are texts
    paths = find_parts(data, READERS)
    read = {split: _read_all(files, columns) for split, files in paths.items()}
    where = {split: str(files[0]) if len(files) == 1 else title_of(files) for split, files in paths.items()}
    names = _names(read["train"].labels, where["train"])
    parts: dict[str, Texts] = {}
    for split, one in read.items():
        labels = _encoded(one.labels, names, where[split], where["train"])
        parts[split] = Texts(one.first, one.second, labels, numbered(one.groups))
    _check_learnable(parts["train"].labels, names, where["train"])
    metric = metric_name(columns.metric, "multilabel", "micro_f1")
    positive = _positive(columns.positive, metric, names)
    train = parts["train"]
    if "validation" not in parts:
        divided = divide(train, REPORT_FRACTION, None, np.random.default_rng(seed))
        train, parts["validation"] = train.take(divided.kept), train.take(divided.held_out)
    report: dict[str, Rows] = {"validation": parts["validation"]}
    return TaskTexts("multilabel", names, metric, train, report, report_origin(paths), positive)


def _positive(asked: str | None, metric: str, names: tuple[str, ...]) -> int | None:
    """Return the label that the metric is of; None for the mean over all."""
    if asked is None:
        if metric in _SEVERAL.split(", "):
            raise InputError(
                f"the metric {metric} is of one label; say by `positive` of which ({', '.join(names[:10])}), or use "
                "micro_f1 or macro_f1"
            )
        return None
    if metric not in METRICS or METRICS[metric].positive is None:
        raise InputError(
            f"`positive` names the label that a metric is of, but {metric} is of all; set the metric to f1, or leave "
            "`positive` out"
        )
    return class_number(asked, names)


def _read_all(paths: tuple[Path, ...], columns: Columns) -> _Read:
    """Read files, whose labels are written alike."""
    first, second, groups, labels = [], [], [], []
    for path in paths:
        table = read_table(path)
        first += text_column(table, columns.text or "text", path)
        second += [] if columns.pair is None else text_column(table, columns.pair, path)
        groups += group_column(table, columns.group, path) or []
        labels.append(_read(table, columns.label or _COLUMN, path))
    before = labels[0]
    for one, path in zip(labels, paths, strict=True):
        if type(one.rows) is not type(before.rows) or (isinstance(one.rows, np.ndarray) and one.names != before.names):
            raise InputError(
                f"{path} holds other labels than {paths[0]}, or writes them in another way; write all alike"
            )
    if isinstance(before.rows, np.ndarray):
        both = _Labels(np.concatenate([np.asarray(one.rows) for one in labels]), before.names)
    else:
        names = {one.names for one in labels}
        both = _Labels([row for one in labels for row in one.rows], before.names if len(names) == 1 else ())  # pyright: ignore
    return _Read(first, None if columns.pair is None else second, None if columns.group is None else groups, both)


def _read(table: Table, asked: str, path: Path) -> _Labels:
    """Read one column of lists, or several of 0 and 1."""
    if asked not in table and "," in asked:
        names = [name.strip() for name in asked.split(",")]
        if len(set(names)) < len(names):
            raise InputError(f"the label columns {asked} name one of them twice; name each once")
        return _Labels(
            np.stack([_answers(column(table, name, path), name, path) for name in names], axis=1), tuple(names)
        )
    values = column(table, asked, path)
    for row, value in enumerate(values, 1):
        if not isinstance(value, list):
            came = "nothing" if value is None else repr(value)[:60]
            raise InputError(
                f"row {row} of {path} must hold a list of labels in column {asked!r} (an empty one where none holds), "
                f"got {came}; write lists in JSONL or parquet, or name several columns of 0 and 1 with commas between"
            )
    if all(isinstance(label, str) for value in values for label in value):
        for row, value in enumerate(values, 1):
            if not all(label.strip() for label in value):
                raise InputError(f"row {row} of {path} holds an empty label in column {asked!r}; drop or mend it")
        return _Labels(values, class_names(path, asked))
    return _numbers(values, class_names(path, asked), asked, path)


def _numbers(values: list[list[Any]], published: tuple[str, ...], name: str, path: Path) -> _Labels:
    """Read lists of numbers: those of classes where the file names these, else 0 or 1 for each label."""
    if published and all(_is_whole(label) and 0 <= label < len(published) for value in values for label in value):
        return _Labels([[published[label] for label in value] for value in values], published)
    for row, value in enumerate(values, 1):
        if len(value) != len(values[0]) or not all(_is_whole(label) and label in (0, 1) for label in value):
            raise InputError(
                f"row {row} of {path} must hold {len(values[0])} labels of 0 or 1 in column {name!r}, as row 1 does, "
                f"or names of labels, got {str(value)[:60]}; use one of both in all rows"
            )
    return _Labels(np.array(values, np.int64), tuple(map(str, range(len(values[0])))))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | float) and value == int(value) if value == value else False  # NaN is not itself


def _answers(values: Sequence[Any], name: str, path: Path) -> NDArray[np.int64]:
    """Return a column of 0 and 1, `(n,)`."""
    found = [_ANSWERS.get(str(value).strip().casefold()) for value in values]
    if None in found:
        row = found.index(None)
        raise InputError(
            f"column {name!r} of {path} must hold 0 or 1 for each text, but row {row + 1} holds {values[row]!r}; mend "
            "or drop it"
        )
    return np.array(found, np.int64)


def _names(train: _Labels, path: str) -> tuple[str, ...]:
    if isinstance(train.rows, np.ndarray):
        return train.names
    used = {label for row in train.rows for label in row}
    if not used:
        raise InputError(f"no row of {path} has a label; a task needs at least one that some texts have")
    return train.names if used <= set(train.names) else tuple(sorted(used))


def _encoded(read: _Labels, names: tuple[str, ...], path: str, train: str) -> NDArray[np.int64]:
    """Return 0 or 1 for each text and label, `(n, C)`."""
    if isinstance(read.rows, np.ndarray):
        if read.names != names:
            raise InputError(
                f"{path} holds {len(read.names)} labels for each text, but {train} {len(names)}; write both alike"
            )
        return read.rows
    number = {name: i for i, name in enumerate(names)}
    encoded = np.zeros((len(read.rows), len(names)), np.int64)
    for row, labels in enumerate(read.rows):
        for label in labels:
            if label not in number:
                raise InputError(
                    f"row {row + 1} of {path} has the label {label!r}, which {train} does not have; train has: "
                    f"{', '.join(names[:10])}"
                )
            encoded[row, number[label]] = 1
    return encoded


def _check_learnable(labels: np.ndarray, names: tuple[str, ...], path: str) -> None:
    """Refuse labels of which there is no example, and a file that says the same of all texts."""
    never = [name for i, name in enumerate(names) if not labels[:, i].any()]
    if never:
        raise InputError(f"no row of {path} has the label {never[0]!r}; leave it out, or add texts that have it")
    if (labels == labels[0]).all():
        raise InputError(f"all {len(labels)} rows of {path} have the same labels; a task needs different ones")
