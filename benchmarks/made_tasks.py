"""Rankings and texts of several labels, made from SQuAD's and QNLI's files: no data set of such is among those at hand.

    python -m secateur.benchmarks.made_tasks --squad DIR --qnli DIR [--queries 4000] [--report-queries 600] [--to made]

writes folders with `train.jsonl` and `validation.jsonl`, which `--task ranking` and `--task multilabel` read:

- `squad-ranking`: a question of SQuAD and each sentence of its context; the one in which the first answer begins is
  relevant. Sentences are cut behind `.`, `?` or `!` before a capital, a digit or a quote, which cuts some names, too.
- `qnli-ranking`: a question of QNLI and the sentence that answers it, which is relevant, beside the five sentences of
  all rows that are most like the question by TF-IDF: of most questions QNLI's training rows have one sentence;
- `squad-labels`: a sentence of SQuAD, and how the questions that it answers ask: who, when, where, how many, how, why,
  which, what. Many sentences answer none, and have no label.

The report split is of SQuAD's and QNLI's published validation files, whose articles are none of the training files'.
Then


    python -m secateur.benchmarks.front_quality --task ranking --data made/squad-ranking --methods ladder,first_layers
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet
import typer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import linear_kernel

from .common import console

_ALIKE = 5  # sentences beside the one that answers
_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z0-9\"'“(])")
# How a question asks, the first that fits.
_KINDS = {
    "how many": r"\bhow (many|much)\b",
    "who": r"\bwho(m|se)?\b",
    "when": r"\b(when|(what|which) (year|date|day|month|century|decade))\b",
    "where": r"\b(where|(what|which) (city|country|state|place|location))\b",
    "why": r"\bwhy\b",
    "how": r"\bhow\b",
    "which": r"\bwhich\b",
    "what": r"\bwhat\b",
}
Row = Mapping[str, Any]


def sentences(context: str) -> list[tuple[int, str]]:
    """Return the sentences of a text, each with the character at which it begins."""
    starts = [0, *(found.end() for found in _END.finditer(context))]
    ends = [*starts[1:], len(context)]
    return [(start, context[start:end].strip()) for start, end in zip(starts, ends, strict=True)]


def squad_ranking(rows: Iterable[Row]) -> dict[str, dict[str, int]]:
    """Return for each question the sentences of its context, and whether its answer begins there."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        parts, begin = sentences(row["context"]), row["answers"]["answer_start"][0]
        gold = sum(start <= begin for start, _ in parts) - 1
        if len({text for _, text in parts}) > 1:
            found[row["question"].strip()] = {text: int(i == gold) for i, (_, text) in enumerate(parts) if text}
    return found


def qnli_ranking(rows: Sequence[Row], count: int, without: Iterable[str] = ()) -> dict[str, dict[str, int]]:
    """Return for drawn questions the sentence that answers each, and the five of all rows most like the question."""
    answered = {row["question"].strip(): row["sentence"].strip() for row in rows if row["label"] == 0}  # entailment
    chosen = _drawn(answered, count, without)
    texts = sorted({row["sentence"].strip() for row in rows})
    words = TfidfVectorizer(sublinear_tf=True, stop_words="english").fit(texts)
    alike: Any = linear_kernel(words.transform(chosen), words.transform(texts), dense_output=False)
    found = {}
    for row, question in enumerate(chosen):
        near = alike[row]
        best = [texts[near.indices[i]] for i in np.argsort(-near.data, kind="stable")[: _ALIKE + 1]]
        others = [text for text in best if text != answered[question]][:_ALIKE]
        found[question] = {answered[question]: 1} | dict.fromkeys(others, 0)
    return {question: candidates for question, candidates in found.items() if len(candidates) > 1}


def squad_labels(rows: Iterable[Row]) -> dict[str, set[str]]:
    """Return for each sentence how the questions that it answers ask."""
    found: dict[str, set[str]] = {}
    for row in rows:
        parts, begin = sentences(row["context"]), row["answers"]["answer_start"][0]
        for _, text in parts:
            found.setdefault(text, set())
        asked = next((kind for kind, words in _KINDS.items() if re.search(words, row["question"].lower())), None)
        if asked is not None:
            found[parts[sum(start <= begin for start, _ in parts) - 1][1]].add(asked)
    return {text: kinds for text, kinds in found.items() if text}


def _read(folder: Path, split: str) -> list[Row]:
    (path, *_) = sorted(folder.glob(f"{split}*.parquet"))
    return pyarrow.parquet.read_table(path).to_pylist()


def _write(folder: Path, name: str, rows: list[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _drawn(found: Mapping[str, Any], count: int, without: Iterable[str] = ()) -> list[str]:
    """Draw so many keys, the same each time."""
    left = sorted(set(found) - set(without))
    return [left[i] for i in np.random.default_rng(0).permutation(len(left))[:count]]


def _pairs(found: Mapping[str, Mapping[str, int]]) -> list[Row]:
    rows = [(query, text, label) for query, texts in found.items() for text, label in texts.items()]
    return [dict(zip(("query", "text", "label"), row, strict=True)) for row in rows]


def main(
    squad: Annotated[Path, typer.Option(help="folder with SQuAD's train and validation parquet files")],
    qnli: Annotated[Path, typer.Option(help="folder with QNLI's train and validation parquet files")],
    queries: Annotated[int, typer.Option(help="questions, or sentences with labels, of train")] = 4000,
    report_queries: Annotated[int, typer.Option(help="likewise of validation")] = 600,
    to: Annotated[Path, typer.Option(help="where the folders are made")] = Path("made"),
) -> None:
    used: dict[str, set[str]] = {"squad": set(), "qnli": set(), "labels": set()}  # of validation, which is made first
    for split, count in (("validation", report_queries), ("train", queries)):
        rows = _read(squad, split)
        every = squad_ranking(rows)
        ranking = {query: every[query] for query in _drawn(every, count, used["squad"])}
        answered = qnli_ranking(_read(qnli, split), count, used["qnli"])
        labels = squad_labels(rows)
        chosen = _drawn(labels, count, used["labels"])
        _write(to / "squad-ranking", split, _pairs(ranking))
        _write(to / "qnli-ranking", split, _pairs(answered))
        _write(to / "squad-labels", split, [{"text": text, "labels": sorted(labels[text])} for text in chosen])
        used = {"squad": set(ranking), "qnli": set(answered), "labels": set(chosen)}
        several = sum(len(labels[text]) > 1 for text in chosen), sum(not labels[text] for text in chosen)
        console.print(
            f"{split}: {len(ranking)} queries of SQuAD with {len(_pairs(ranking))} sentences, {len(answered)} of QNLI "
            f"with {len(_pairs(answered))}; {len(chosen)} sentences, {several[0]} with several labels, {several[1]} "
            "with none"
        )


if __name__ == "__main__":
    typer.run(main)
