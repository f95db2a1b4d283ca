"""A task of queries and texts to be ranked from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .metrics import metric_name
from .parts import find_parts, report_origin, title_of
from .rows import Columns, Rows, TaskTexts
from .split import Split
from .splitting import REPORT_FRACTION, divide
from .tables import READERS, Table, group_column, numbered, read_labels, read_table, text_column
from .texts import Texts, hashed_groups

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from .windows import Windows

_QUERY, _TEXT, _LABEL = "query", "text", "label"


@dataclass(frozen=True)
class Queries:
    """`n` queries, each with its texts and how relevant they are, from 0 to 1; and the groups of queries, `(n,)`."""

    queries: list[str]
    texts: list[list[str]]
    labels: list[NDArray[np.float32]]
    groups: NDArray[np.int64] | None = None

    is_pair = True

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, index: NDArray[np.int64]) -> Queries:
        """Return the queries at ``index``, in that order."""
        return Queries(
            [self.queries[i] for i in index],
            [self.texts[i] for i in index],
            [self.labels[i] for i in index],
            None if self.groups is None else self.groups[index],
        )

    @property
    def strata(self) -> np.ndarray:
        """All alike."""
        return np.zeros(len(self), np.int64)

    @property
    def wordings(self) -> list[tuple[str, ...]]:
        """The queries; texts may be those of many."""
        return [(query,) for query in self.queries]

    def hashed(self, name: str) -> Iterator[bytes]:
        """Return queries, texts and labels as bytes."""
        yield json.dumps([name, self.queries, self.texts]).encode()
        yield np.concatenate(self.labels).tobytes()
        yield from hashed_groups(self.groups)

    def tokenised(self, tokenizer: PreTrainedTokenizerBase, max_length: int, windows: Windows) -> tuple[Split, int]:
        """Return the tokenised pairs, query after query, and how many were cut to ``max_length`` tokens."""
        counts = [len(texts) for texts in self.texts]
        first = [query for query, count in zip(self.queries, counts, strict=True) for _ in range(count)]
        pairs = Texts(first, [text for texts in self.texts for text in texts], np.concatenate(self.labels))
        split, cut = pairs.tokenised(tokenizer, max_length, windows)
        return replace(split, groups=np.repeat(np.arange(len(self)), counts)), cut


def load_ranking(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load queries with texts: a pair in each row, and how relevant the text is.

    Args:
        data: files, see :func:`~.parts.find_parts`: of train and validation; or of one table, of which a fifth of the
            queries, drawn by ``seed``, becomes the report split.
        columns: what its columns mean: the query ("query"), the text ("text"), and the label ("label"), a number from
            0, which is not relevant, on. Rows of equal queries belong together wherever they stand. Where a model
            answers in the place of labels, these are not looked at.
        seed: decides which queries of a single file are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, labels that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'ranking' needs `data`: a folder with train and validation, or a single file")
    if columns.kind is not None:
        raise InputError(f"the task 'ranking' is of one kind, got the kind {columns.kind}; leave it out")
    paths = find_parts(data, READERS)
    parts = {split: _read(files, columns) for split, files in paths.items()}
    if columns.unlabelled is None:
        largest = max(float(labels.max()) for labels in parts["train"].labels)
        parts = {split: replace(part, labels=[one / largest for one in part.labels]) for split, part in parts.items()}
    train = parts["train"]
    if "validation" not in parts:
        divided = divide(train, REPORT_FRACTION, None, np.random.default_rng(seed))
        train, parts["validation"] = train.take(divided.kept), train.take(divided.held_out)
    elif both := set(train.queries) & set(parts["validation"].queries):
        raise InputError(
            f"{len(both)} queries of {title_of(paths['validation'])} are in {title_of(paths['train'])}, too, such as "
            f"{min(both)[:60]!r}; take them out of one of both"
        )
    metric = metric_name(columns.metric, "ranking", "ndcg@10")
    report: dict[str, Rows] = {"validation": parts["validation"]}
    return TaskTexts("ranking", ("relevance",), metric, train, report, report_origin(paths))


def _read(paths: tuple[Path, ...], columns: Columns) -> Queries:
    """Read the files of a split, one after another; a query's rows may be in several."""
    name, where = columns.label or _LABEL, str(paths[0]) if len(paths) == 1 else title_of(paths)
    queries: list[str] = []
    texts: list[str] = []
    labels: list[float] = []
    groups: list[str] = []
    for path in paths:
        table = read_table(path)
        queries += text_column(table, columns.text or _QUERY, path)
        texts += text_column(table, columns.pair or _TEXT, path)
        labels += _relevances(table, name, path) if columns.unlabelled is None else []
        groups += group_column(table, columns.group, path) or []
    places: dict[str, list[int]] = {}
    for row, query in enumerate(queries):
        places.setdefault(query, []).append(row)
    rows = list(places.values())
    if columns.unlabelled is None:
        values = np.asarray(labels, np.float32)
        _check_rankable(values, rows, where)
    else:
        values = np.full(len(texts), np.nan, np.float32)
        if all(len(one) < 2 for one in rows):
            raise InputError(
                f"no query of {where} has several texts, so there is nothing to rank; give each a row for each text"
            )
    apart = next((query for query, one in places.items() if groups and len({groups[i] for i in one}) > 1), None)
    if apart is not None:
        raise InputError(
            f"the query {apart[:60]!r} of {where} has rows of several groups in column {columns.group!r}; each query "
            "belongs to one"
        )
    group = numbered([groups[one[0]] for one in rows]) if groups else None
    return Queries(list(places), [[texts[i] for i in one] for one in rows], [values[one] for one in rows], group)


def _check_rankable(values: NDArray[np.float32], rows: list[list[int]], where: str) -> None:
    """Refuse labels `(n,)` of queries, given by the rows of each, that no ranking could be held against."""
    if not (values > 0).any():
        raise InputError(f"no text of {where} is relevant: all labels are 0; a task needs some above it")
    if all(len(set(values[one].tolist())) < 2 for one in rows):
        raise InputError(
            f"no query of {where} has texts of different relevance, so there is nothing to rank; give each query "
            "relevant texts and others, in a row each"
        )


def _relevances(table: Table, name: str, path: Path) -> list[float]:
    labels = read_labels(table, name, path)
    for row, label in enumerate(labels, 1):
        if isinstance(label, str) or not 0 <= label < math.inf:
            raise InputError(
                f"row {row} of {path} must hold how relevant the text is in column {name!r}, a number from 0 on, got "
                f"{label!r}; 0 is not relevant"
            )
    return [float(label) for label in labels]
