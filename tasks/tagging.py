"""A task of tags from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .conll import CONLL, TAGS, WORDS, read_conll
from .kinds.entities import entity_tags, look_like_entities
from .metrics import metric_name
from .rows import Columns, Rows, TaskTexts
from .sentences import Sentences
from .splitting import REPORT_FRACTION, divide, report_origin
from .tables import READERS, class_names, column, find_files, read_table

_TABLES = {ending: READERS[ending] for ending in (".jsonl", ".json", ".parquet", ".arrow")}
_ENDINGS = (*CONLL, *_TABLES)


def load_tagging(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load sentences with a tag for each word.

    Args:
        data: a folder that holds `train` and `validation`, or one file, of which a fifth, drawn by ``seed``, becomes
            the report split. `.conll`, `.conllu`, `.txt` and `.tsv`: a word and its tag per line, see
            :func:`~.conll.read_conll`; the others: a column of words and one of tags.
        columns: the names of the two columns, and the metric: entity_f1, the default where tags are those of entities
            (B-PER, I-PER, O), or token_accuracy.
        seed: decides which sentences of a single file are reported on.

    Raises:
        InputError: a missing file or column, unreadable contents, or tags that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'tagging' needs `data`: a folder with train.conll and validation.conll, or one file")
    paths = find_files(data, ("train", "validation"), _ENDINGS) if data.is_dir() else {"train": data}
    read = {split: _read(path, columns) for split, path in paths.items()}
    names = read["train"][1]
    parts = {split: _sentences(read[split][0], paths[split], names, paths["train"]) for split in paths}
    train = parts["train"]
    if "validation" not in parts:
        divided = divide(train, REPORT_FRACTION, None, np.random.default_rng(seed))
        parts["validation"] = train.take(divided.held_out)
        train = train.take(divided.kept)
    metric = _metric(names, columns.metric, paths["train"])
    report: dict[str, Rows] = {"validation": parts["validation"]}
    return TaskTexts("token-classification", names, metric, train, report, report_origin(paths))


def _metric(names: tuple[str, ...], asked: str | None, path: Path) -> str:
    """Return the metric: of entities where all tags are of one scheme of those."""
    entities = entity_tags(names) is not None
    metric = metric_name(asked, "token-classification", "entity_f1" if entities else "token_accuracy")
    odd = next((name for name in names if entity_tags([name]) is None), None)
    if metric == "entity_f1" and not entities:
        came = f"has {odd!r}" if odd is not None else f"mixes schemes: {', '.join(names[:10])}"
        raise InputError(
            f"entity_f1 needs tags such as B-PER, I-PER, E-PER, S-PER and O, but {path} {came}; use token_accuracy or "
            "write the tags so"
        )
    if asked is None and not entities and look_like_entities(names):
        came = f"{odd!r} is not" if odd is not None else "they mix schemes"
        raise InputError(
            f"tags of {path} are like those of entities ({', '.join(names[:10])}), but {came}; write all of them in "
            "one scheme (IOB, IOBES, BILOU, BMES), or set the `metric` to token_accuracy"
        )
    return metric


def _read(path: Path, columns: Columns) -> tuple[list[tuple[list[str], list[str]]], tuple[str, ...]]:
    """Return the words and tags of each sentence, and the names of all tags in their order."""
    conll = partial(read_conll, text=columns.text, label=columns.label)
    table = read_table(path, dict.fromkeys(CONLL, conll) | _TABLES)
    words, tags = (column(table, name, path) for name in (columns.text or WORDS, columns.label or TAGS))
    published = class_names(path, columns.label or TAGS)
    rows = [_row(*both, published, row, path) for row, both in enumerate(zip(words, tags, strict=True), 1)]
    return rows, published or tuple(sorted({tag for _, tags in rows for tag in tags}))


def _row(words: Any, tags: Any, published: tuple[str, ...], row: int, path: Path) -> tuple[list[str], list[str]]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"row {row} of {path} must hold a list of words, got {str(words)[:60]}")
    if not words or not all(words):  # one of blanks alone is a word of which a tokenizer makes no token
        raise InputError(f"row {row} of {path} holds {'an empty word' if words else 'no words'}; drop or mend it")
    if not isinstance(tags, list) or len(tags) != len(words):
        came = len(tags) if isinstance(tags, list) else str(tags)[:60]
        raise InputError(f"row {row} of {path} must hold a tag for each of its {len(words)} words, got {came}")
    if not all(isinstance(tag, str) for tag in tags):
        odd = next(tag for tag in tags if not isinstance(tag, str))
        if not all(isinstance(tag, int) and 0 <= tag < len(published) for tag in tags):
            known = f"0 to {len(published) - 1}" if published else "no names of its numbers"
            raise InputError(f"row {row} of {path} holds the tag {odd!r}, but there are {known}; write strings")
        tags = [published[tag] for tag in tags]
    return words, tags


def _sentences(rows: list[tuple[list[str], list[str]]], path: Path, names: tuple[str, ...], train: Path) -> Sentences:
    number = {name: i for i, name in enumerate(names)}
    used = sorted({tag for _, tags in rows for tag in tags})
    unseen = [tag for tag in used if tag not in number]
    if unseen:
        raise InputError(
            f"{path} has tags that {train} does not have: {', '.join(unseen[:5])}; train has: {', '.join(names[:10])}"
        )
    if len(used) < 2 and path == train:
        raise InputError(f"all tags of {path} are {used[0]!r}; a task needs at least two different ones")
    tags = [np.array([number[tag] for tag in tags], np.int64) for _, tags in rows]
    return Sentences([words for words, _ in rows], tags, names)
