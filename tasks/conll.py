"""Files of sentences as the shared tasks of CoNLL have them: one word per line, its tag in the last column."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError
from .tables import Table

CONLL = (".conll", ".txt")
WORDS, TAGS = "tokens", "ner_tags"  # columns, named as the hub's sets name them


def read_conll(path: Path) -> Table:
    """Return the columns WORDS and TAGS, a list per sentence.

    Columns are separated by tabs, or by spaces in a line without tabs. A sentence ends with an empty line, or with one
    that begins with -DOCSTART-.

    Raises:
        InputError: a line of one column.
    """
    words: list[list[str]] = [[]]
    tags: list[list[str]] = [[]]
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if line.isspace() or not line or line.startswith("-DOCSTART-"):
            if words[-1]:
                words.append([])
                tags.append([])
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if len(cells) < 2:
            raise InputError(f"line {number} of {path} holds {line.strip()[:40]!r}; write a word and its tag")
        words[-1].append(cells[0].strip())
        tags[-1].append(cells[-1].strip())
    sentences = len(words) if words[-1] else len(words) - 1
    return {WORDS: words[:sentences], TAGS: tags[:sentences]}
