"""A task of tags from local files: a folder with train and validation, or a single file."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .agreement import AGREEMENT
from .conll import CONLL, TAGS, WORDS, read_conll
from .kinds.entities import entity_tags, look_like_entities
from .metrics import metric_name
from .rows import Columns, Rows, TaskTexts
from .sentences import Sentences
from .splitting import REPORT_FRACTION, divide, report_origin
from .tables import READERS, class_names, column, find_files, read_table

_TABLES = {ending: READERS[ending] for ending in (".jsonl", ".json", ".parquet", ".arrow")}
_UNTAGGED = {ending: read for ending, read in READERS.items() if ending not in CONLL}
_ENDINGS = (*CONLL, *_TABLES)
TEXT = "text"  # a column of sentences that are not in words yet


def load_tagging(data: Path | None, columns: Columns, seed: int) -> TaskTexts:
    """Load sentences with a tag for each word.

    Args:
        data: a folder that holds `train` and `validation`, or one file, of which a fifth, drawn by ``seed``, becomes
            the report split. `.conll`, `.conllu`, `.txt` and `.tsv`: a word and its tag per line, see
            :func:`~.conll.read_conll`; the others: a column of words and one of tags.
        columns: the names of the two columns, and the metric: entity_f1, the default where tags are those of entities
            (B-PER, I-PER, O), or token_accuracy.
        seed: decides which sentences of a single file are reported on.

    Without labels a column of tags is not looked at. Then all types of READERS are read, and a sentence may be a text,
    whose words stand between blanks, in the column "text" if there is none of words.

    Raises:
        InputError: a missing file or column, unreadable contents, or tags that are missing or no task.
    """
    if data is None:
        raise InputError("the task 'tagging' needs `data`: a folder with train.conll and validation.conll, or one file")
    alone = columns.unlabelled
    endings = _ENDINGS if alone is None else (*CONLL, *_UNTAGGED)
    paths = find_files(data, ("train", "validation"), endings) if data.is_dir() else {"train": data}
    if alone is not None:
        words = {split: _words(path, columns.text) for split, path in paths.items()}
        untagged = {split: _untagged(rows, alone.label_names) for split, rows in words.items()}
        left, reported = _reported(untagged, seed)
        return TaskTexts("token-classification", alone.label_names, AGREEMENT, left, reported, report_origin(paths))
    read = {split: _read(path, columns) for split, path in paths.items()}
    names = read["train"][1]
    parts = {split: _sentences(read[split][0], paths[split], names, paths["train"]) for split in paths}
    train, report = _reported(parts, seed)
    metric = _metric(names, columns.metric, paths["train"])
    return TaskTexts("token-classification", names, metric, train, report, report_origin(paths))


def _reported(parts: dict[str, Sentences], seed: int) -> tuple[Sentences, dict[str, Rows]]:
    """Return what is trained on, and what is reported on: the file of its own, or a part of the only file."""
    if "validation" in parts:
        return parts["train"], {"validation": parts["validation"]}
    divided = divide(parts["train"], REPORT_FRACTION, None, np.random.default_rng(seed))
    return parts["train"].take(divided.kept), {"validation": parts["train"].take(divided.held_out)}


def _words(path: Path, name: str | None) -> list[list[str]]:
    """Return the words of each sentence of a file."""
    conll = partial(read_conll, text=name, tagged=False)
    table = read_table(path, dict.fromkeys(CONLL, conll) | _UNTAGGED)
    name = name or next((one for one in (WORDS, TEXT) if one in table), WORDS)
    rows = [value.split() if isinstance(value, str) else value for value in column(table, name, path)]
    for row, words in enumerate(rows, 1):
        _check_words(words, row, path)
    return rows


def _untagged(rows: list[list[str]], names: tuple[str, ...]) -> Sentences:
    """Return sentences all of whose words have the first tag, until a model says another one."""
    return Sentences(rows, [np.zeros(len(words), np.int64) for words in rows], names)


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
    _check_words(words, row, path)
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


def _check_words(words: Any, row: int, path: Path) -> None:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"row {row} of {path} must hold a list of words, got {str(words)[:60]}")
    if not words or not all(words):  # one of blanks alone is a word of which a tokenizer makes no token
        raise InputError(f"row {row} of {path} holds {'an empty word' if words else 'no words'}; drop or mend it")


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
