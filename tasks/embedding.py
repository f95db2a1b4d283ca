"""A task of vectors from local files of texts, which need no labels: the whole model's vectors are the target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .contents import ending_of, read_text, with_packed
from .corpus import LINES, read_lines
from .examples import Examples, Retrieval
from .metrics import METRICS, metric_name
from .rows import Columns, Rows, TaskTexts
from .splitting import REPORT_FRACTION, divide
from .tables import READERS, Table, column, read_labels, read_table, text_column

_READERS = {**READERS, LINES: read_lines}
_PAIR, _SCORE = "text2", "score"  # columns that are read where they are there and nothing else is said
_CORPUS, _QUERIES, _QRELS = "corpus", "queries", "qrels"  # the names in BEIR's layout


def load_embedding(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load texts.

    Args:
        data: a file of texts, of which a fifth, drawn by ``seed``, becomes the report split; or a folder with `train`
            and `validation`; or one of any such files, which are read together; or one in BEIR's layout:
            `corpus.jsonl`, `queries.jsonl` and `qrels/test.tsv`. `.txt` has a text on each line.
        columns: the names of the columns: of texts; of second texts, each a text of its own; of scores that say how
            alike the two are; and the metric, agreement if nothing is said.
        seed: decides which texts are reported on where nothing else does.

    Raises:
        InputError: a missing file or column, unreadable contents, or a metric that needs scores that are not there.
    """
    if data is None:
        raise InputError(
            "the task 'embedding' needs `data`: a file with a column of texts, or a folder of such files; labels are "
            "not needed"
        )
    metric = metric_name(columns.metric, "embedding", "agreement")
    if not data.is_dir():
        return _split_off(_read([data], columns), metric, f"the file {data.name}", seed)
    if _found(data, _CORPUS) and _found(data, _QUERIES):
        return _beir(data, columns, metric)
    train, validation = _found(data, "train"), _found(data, "validation")
    if not train:
        files = [path for path in sorted(data.iterdir()) if path.is_file() and ending_of(path) in _READERS]
        if not files:
            held = ", ".join(sorted(item.name for item in data.iterdir())) or "nothing"
            raise InputError(
                f"{data} holds no file of texts that ends in {', '.join(sorted(_READERS))}; the folder holds: {held}"
            )
        return _split_off(_read(files, columns), metric, f"the files of {data.name}", seed)
    if not validation:
        return _split_off(_read([train], columns), metric, f"the file {train.name}", seed)
    rows, report = _read([train], columns), _read([validation], columns)
    if METRICS[metric].of_pairs:
        _check_scored(rows, train)
        _check_scored(report, validation)
    return _task(metric, rows, report, f"the file {validation.name}")


def _task(metric: str, train: Rows, report: Rows, origin: str) -> TaskTexts:
    return TaskTexts("embedding", ("vector",), metric, train, {"validation": report}, origin)


def _split_off(rows: Examples, metric: str, source: str, seed: int) -> TaskTexts:
    if METRICS[metric].of_pairs:
        _check_scored(rows, source)
    divided = divide(rows, REPORT_FRACTION, None, np.random.default_rng(seed))
    report = rows.take(divided.held_out)
    return _task(metric, rows.take(divided.kept), report, f"a fifth of {source}, drawn by the seed")


def _check_scored(rows: Examples, where: object) -> None:
    if rows.scores is None:
        raise InputError(
            f"the metric sts_spearman needs pairs with a score each, but {where} has none; name the columns by "
            "`text_pair_column` and `label_column`, or use agreement or retrieval_recall"
        )


def _read(paths: Sequence[Path], columns: Columns) -> Examples:
    """Read files together: pairs with scores where all have those, else every text alone, each once."""
    parts = [_examples(read_table(path, _READERS), columns, path) for path in paths]
    if all(part.scores is not None for part in parts):
        return Examples(
            [text for part in parts for text in part.first],
            [text for part in parts for text in part.second or ()],
            np.concatenate([part.scores for part in parts if part.scores is not None]),
        )
    texts = dict.fromkeys(text for part in parts for one in (part.first, part.second or ()) for text in one)
    if len(texts) < 2:
        raise InputError(f"{paths[0]} holds a single text; a task needs more, as different as those to come")
    return Examples(list(texts))


def _examples(table: Table, columns: Columns, path: Path) -> Examples:
    first = text_column(table, columns.text or "text", path)
    pair = columns.pair or (_PAIR if _PAIR in table else None)
    if pair is None:
        return Examples(first)
    second, score = text_column(table, pair, path), columns.label or (_SCORE if _SCORE in table else None)
    if score is None or score not in table:
        if columns.label is not None:
            column(table, columns.label, path)  # which says what there is
        return Examples(first, second)
    scores = read_labels(table, score, path)
    if isinstance(scores[0], str):
        raise InputError(
            f"column {score!r} of {path} holds {scores[0]!r}, but how alike two texts are is a number; name another "
            "column by `label_column`"
        )
    return Examples(first, second, np.asarray(scores, np.float64))


def _found(folder: Path, name: str) -> Path | None:
    paths = [path for ending in with_packed(_READERS) if (path := folder / f"{name}{ending}").is_file()]
    if len(paths) > 1:
        raise InputError(f"{folder} holds {', '.join(path.name for path in paths)}; keep one {name} file")
    return paths[0] if paths else None


def _beir(folder: Path, columns: Columns, metric: str) -> TaskTexts:
    """Read queries, documents and what is relevant; trained is on the documents, which have no labels.

    Source: Thakur et al., "BEIR", NeurIPS 2021 Datasets and Benchmarks, appendix on data formats.
    """
    if METRICS[metric].of_pairs:
        raise InputError(f"the metric {metric} needs pairs with a score each, but {folder} has queries and documents")
    documents = _by_id(folder, _CORPUS, columns, title=True)
    queries = _by_id(folder, _QUERIES, columns, title=False)
    qrels = next((path for name in ("test", "dev") if (path := folder / _QRELS / f"{name}.tsv").is_file()), None)
    if qrels is None:
        raise InputError(f"{folder} has queries and a corpus, but no {_QRELS}/test.tsv that says what is relevant")
    places = {name: place for place, name in enumerate(documents)}
    grades: dict[str, dict[int, float]] = {}
    for row, line in enumerate(read_text(qrels).splitlines(), 1):
        parts = line.split("\t")
        if row == 1 and parts[0] == "query-id":
            continue
        try:
            query, document, grade = parts
            known = queries[query] is not None and float(grade) > 0
            at = places[document]
        except (ValueError, KeyError):
            raise InputError(
                f"line {row} of {qrels} is {line[:60]!r}; expected the id of a query, that of a document of the corpus "
                "and a number, with tabs between them"
            ) from None
        if known:
            grades.setdefault(query, {})[at] = float(grade)
    if not grades:
        raise InputError(f"{qrels} names no relevant document; the third column is above 0 where one is")
    retrieval = Retrieval([queries[name] for name in grades], list(documents.values()), tuple(grades.values()))
    texts = Examples(list(dict.fromkeys(documents.values())), role="document")
    return _task(metric, texts, retrieval, f"the queries of {_QRELS}/{qrels.name}, over the documents trained on")


def _by_id(folder: Path, name: str, columns: Columns, *, title: bool) -> dict[str, str]:
    path = _found(folder, name)
    assert path is not None
    table: dict[str, list[Any]] = read_table(path, _READERS)
    texts = text_column(table, columns.text or "text", path)
    if title and "title" in table:
        texts = [f"{head} {text}".strip() for head, text in zip(text_column(table, "title", path), texts, strict=True)]
    return dict(zip(map(str, column(table, "_id", path)), texts, strict=True))
