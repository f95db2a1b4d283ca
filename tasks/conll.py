"""Files of sentences as the shared tasks of CoNLL have them: one word per line, with its tag in a column."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .contents import read_text
from .kinds.entities import entity_tags
from .tables import Table

CONLL = (".conll", ".conllu", ".txt", ".tsv")
WORDS, TAGS = "tokens", "ner_tags"  # columns, named as the hub's sets name them
# The columns of CoNLL-U, by https://universaldependencies.org/format.html, and those of words and tags among them.
_UNIVERSAL = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_FORM, _UPOS = _UNIVERSAL.index("form"), _UNIVERSAL.index("upos")
_NUMBER = re.compile(r"\d+")
_NUMBERED = re.compile(r"\d+(?:[-.]\d+)?")  # of a word, of several that are written as one, of one that is left out
_HEADER = {"word", "words", "token", "tokens", "text", "form"}
_NOTHING = "_"  # in a column of CoNLL-U


class _Line(NamedTuple):
    number: int
    cells: list[str]


def read_conll(path: Path, text: str | None = None, label: str | None = None, *, tagged: bool = True) -> Table:
    """Return a list per sentence: of the words and tags as WORDS and TAGS, and of each column by its number from 1.

    Columns are separated by tabs, or by spaces where the file has none. A sentence ends with an empty line, or with one
    that begins with -DOCSTART-. Before a sentence, lines that begin with # and are not shaped like the others are
    comments. The word is in the first column and its tag in the last; of CoNLL-U, which has ten and counts words in the
    first, the form and the universal part of speech, and its columns have their names, too.

    Args:
        path: the file.
        text: the column of words, if it is another one.
        label: the column of tags.
        tagged: there must be tags; otherwise a line may be a word alone.

    Raises:
        InputError: a line that is not like the others, or columns of which nobody can say which hold words and tags.
    """
    sentences = _sentences(path, tagged=tagged)
    if not sentences:
        return {}
    width = len(sentences[0][0].cells)
    universal = width == len(_UNIVERSAL) and _is_numbered(sentences)
    if universal:
        sentences = [[line for line in lines if _NUMBER.fullmatch(line.cells[0])] for lines in sentences]
    elif width > 1 and (text is None or (tagged and label is None)):
        _check_order(sentences, path)
    table: Table = {str(i + 1): [[line.cells[i] for line in lines] for lines in sentences] for i in range(width)}
    if universal:
        table |= {name: table[str(i + 1)] for i, name in enumerate(_UNIVERSAL)}
    table[WORDS], table[TAGS] = (table[str(i + 1)] for i in ((_FORM, _UPOS) if universal else (0, width - 1)))
    if tagged:
        _check_filled(table, label or TAGS, sentences, path, universal=universal)
    return table


def _sentences(path: Path, *, tagged: bool) -> list[list[_Line]]:
    """Return the lines of each sentence, all of as many cells."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    plain = [line for line in lines if _is_content(line) and not line.startswith("#")]
    tabs = 2 * sum("\t" in line for line in plain) > len(plain)
    rows = [_cells(line, tabs=tabs) for line in plain]
    width = Counter(map(len, rows)).most_common(1)[0][0] if rows else 0
    tags = {row[-1] for row in rows if len(row) == width}
    sentences: list[list[_Line]] = [[]]
    for number, line in enumerate(lines, 1):
        cells = _cells(line, tabs=tabs)
        if not _is_content(line):
            sentences.append([])
        elif sentences[-1] or not line.startswith("#") or (len(cells) == width and cells[-1] in tags):
            sentences[-1].append(_Line(number, cells))
    found = [lines for lines in sentences if lines]
    _check_width(found, width, path, least=1 + tagged)
    if found and width > 1 and _is_header(found[0][0], tags=Counter(row[-1] for row in rows)):
        found = [lines for lines in (found[0][1:], *found[1:]) if lines]
    return found


def _is_content(line: str) -> bool:
    return bool(line) and not line.isspace() and not line.startswith("-DOCSTART-")


def _cells(line: str, *, tabs: bool) -> list[str]:
    # Not at every blank: a no-break space is part of a word.
    if tabs and "\t" in line:
        return [cell.strip(" ") for cell in line.split("\t")]
    return re.split(r"[ \t]+", line.strip(" \t"))


def _check_width(sentences: list[list[_Line]], width: int, path: Path, least: int) -> None:
    for line in (line for lines in sentences for line in lines):
        if len(line.cells) < least:
            raise InputError(
                f"line {line.number} of {path} holds {' '.join(line.cells)[:40]!r}; write a word and its tag"
            )
        if len(line.cells) != width:
            raise InputError(
                f"line {line.number} of {path} has {len(line.cells)} columns, but most lines have {width}; write the "
                "same columns for each word, and an empty line after each sentence"
            )


def _is_header(line: _Line, tags: Counter[str]) -> bool:
    """Whether a file's first line names its columns."""
    return line.cells[0].lower() in _HEADER and tags[line.cells[-1]] == 1


def _is_numbered(sentences: list[list[_Line]]) -> bool:
    """Whether the first column counts the words of each sentence."""
    for lines in sentences:
        numbers = [line.cells[0] for line in lines]
        if not all(map(_NUMBERED.fullmatch, numbers)):
            return False
        if [int(n) for n in numbers if _NUMBER.fullmatch(n)] != [*_counted(numbers)]:
            return False
    return True


def _counted(numbers: list[str]) -> Iterator[int]:
    first = next((int(n) for n in numbers if _NUMBER.fullmatch(n)), 0)
    if first > 1:
        return iter(())
    return iter(range(first, first + sum(map(bool, map(_NUMBER.fullmatch, numbers)))))


def _check_order(sentences: list[list[_Line]], path: Path) -> None:
    """Refuse columns of which the first does not hold words."""
    width = len(sentences[0][0].cells)
    if width > 2 and _is_numbered(sentences) and any(len(lines) > 1 for lines in sentences):
        what = f"counts words in the first of its {width} columns"
    else:
        first, last = ({line.cells[i] for lines in sentences for line in lines} for i in (0, -1))
        if len(first) < 2 or entity_tags(first) is None or entity_tags(last) is not None:
            return
        what = "has tags in its first column"
    raise InputError(
        f"{path} {what}; say which hold words and tags by `text_column` and `label_column`, numbers from 1, or leave "
        "two columns, words first"
    )


def _check_filled(table: Table, label: str, sentences: list[list[_Line]], path: Path, *, universal: bool) -> None:
    """Refuse a word without a tag."""
    for lines, tags in zip(sentences, table.get(label, []), strict=False):
        for line, tag in zip(lines, tags, strict=True):
            if not tag or (universal and tag == _NOTHING):
                raise InputError(f"line {line.number} of {path} has no tag ({' '.join(line.cells)[:40]!r}); add it")
