"""SQuAD 1.1 and 2.0, from the Hugging Face hub or from a folder of files.

Source: Rajpurkar et al., EMNLP 2016, and Rajpurkar et al., ACL 2018, whose questions may have no answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .agreement import AGREEMENT
from .metrics import metric_name
from .published import Published
from .questions import Questions
from .rows import TaskTexts, Unlabelled
from .squad_json import read_articles
from .tables import READERS, Table, column, text_column

_READERS = {ending: READERS[ending] for ending in (".parquet", ".arrow", ".jsonl")} | {".json": read_articles}
SQUAD = {
    "squad": Published("SQuAD 1.1", "rajpurkar/squad", None, "squad", _READERS),
    "squad_v2": Published("SQuAD 2.0", "rajpurkar/squad_v2", None, "squad_v2", _READERS),
}
_VERSION = {"squad": "v1.1", "squad_v2": "v2.0"}  # in the names of the published files


def _files(name: str) -> dict[str, tuple[str, ...]]:
    train, dev = f"train-{_VERSION[name]}", f"dev-{_VERSION[name]}"
    return {"train": ("train", train, "train_partial"), "validation": ("validation", "dev", dev)}


def load_squad(name: str, data: Path | None, metric: str | None, unlabelled: Unlabelled | None = None) -> TaskTexts:
    """Load SQuAD.

    Args:
        name: a name of SQUAD.
        data: a folder that holds `<name>/train.parquet` (or train_partial.parquet, a part of it) and
            `<name>/validation.parquet`, or holds these files itself; or the published `train-v1.1.json` and
            `dev-v1.1.json`; None downloads them from the hub, once.
        metric: squad_f1, the default, or exact_match.
        unlabelled: what answers in the place of published answers, which are not read then.

    Raises:
        InputError: a missing folder, file or column, contents that are not this task, or no network.
    """
    tables = SQUAD[name].tables(_files(name), data)
    told = unlabelled is None
    parts = {split: _questions(*found, unanswerable=name == "squad_v2", told=told) for split, found in tables.items()}
    judged = metric_name(metric, "question-answering", "squad_f1") if told else AGREEMENT
    return TaskTexts(
        "question-answering", ("start", "end"), judged, parts["train"], {"validation": parts["validation"]}
    )


def _questions(table: Table, where: object, *, unanswerable: bool, told: bool = True) -> Questions:
    """Return the questions of a table, with their answers if those are told."""
    questions, contexts = (text_column(table, name, where) for name in ("question", "context"))
    if not told:
        asked, nowhere = [text.strip() for text in questions], np.full((len(questions), 2), -1, np.int64)
        return Questions(asked, contexts, [()] * len(questions), nowhere, unanswerable)
    answers: list[tuple[str, ...]] = []
    spans: list[tuple[int, int]] = []
    for row, (found, context) in enumerate(zip(column(table, "answers", where), contexts, strict=True), 1):
        texts, starts = _answers(found, row, where)
        if not texts and not unanswerable:
            raise InputError(f"row {row} of {where} has no answer, which only SQuAD 2.0 allows; take the task squad_v2")
        for text, start in zip(texts, starts, strict=True):
            if not text.strip() or context[start : start + len(text)] != text:
                raise InputError(
                    f"row {row} of {where}: the answer {text[:50]!r} is not at character {start} of its context; mend "
                    "answer_start, which counts characters from 0"
                )
        answers.append(texts)
        spans.append((starts[0], starts[0] + len(texts[0])) if texts else (-1, -1))
    return Questions([text.strip() for text in questions], contexts, answers, np.array(spans, np.int64), unanswerable)


def _answers(found: Any, row: int, where: object) -> tuple[tuple[str, ...], list[int]]:
    """Return the texts of a question's answers and where they begin; an empty text is none, wherever it may stand."""
    try:
        if isinstance(found, list):  # as in the published files, an object for each answer
            found = {"text": [one["text"] for one in found], "answer_start": [one["answer_start"] for one in found]}
        both = list(zip(found["text"], found["answer_start"], strict=True))
        fits = all(isinstance(text, str) and (text == "" or int(start) >= 0) for text, start in both)
    except (TypeError, KeyError, ValueError):
        fits, both = False, []
    if not fits:
        raise InputError(
            f"row {row} of {where} must hold {{'text': [...], 'answer_start': [...]}} as its answers, both of one "
            f"length, or empty where there is no answer, got {str(found)[:60]}"
        )
    return tuple(text for text, _ in both if text), [int(start) for text, start in both if text]
