"""SQuAD as it is published: articles of paragraphs, each a context with its questions, in one JSON file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError
from .json_rows import load_json, table_of

_COLUMNS = ("id", "title", "question", "context", "answers")


def read_articles(path: Path) -> dict[str, list[Any]]:
    """Return a row for each question: its id, the article's title, question, context and answers.

    A question that is marked as impossible has no answers, whatever answers are thought plausible. Files that hold no
    articles but rows are read as rows.

    Raises:
        InputError: neither; names the article.
    """
    found = load_json(path)
    articles = found.get("data") if isinstance(found, dict) else None
    if not isinstance(articles, list) or not any(isinstance(one, dict) and "paragraphs" in one for one in articles):
        return table_of(found, path)
    rows: list[dict[str, Any]] = []
    for number, article in enumerate(articles, 1):
        try:
            rows += _questions(article)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"article {number} of {path} lacks {error} or has it in another form; expected paragraphs, each with a "
                "context and qas, each with a question and answers"
            ) from None
    return {name: [row[name] for row in rows] for name in _COLUMNS}


def _questions(article: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for paragraph in article["paragraphs"]:
        for asked in paragraph["qas"]:
            impossible = asked.get("is_impossible", False)
            yield {
                "id": asked.get("id"),
                "title": article.get("title"),
                "question": asked["question"],
                "context": paragraph["context"],
                "answers": [] if impossible else asked["answers"],
            }
