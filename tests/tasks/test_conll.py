"""What a file of one word per line is taken for, and what is refused because nobody can say."""

from __future__ import annotations

import gzip

import pytest
from secateur.errors import InputError
from secateur.tasks import Columns
from secateur.tasks.conll import read_conll
from secateur.tasks.tagging import load_tagging

WORDS, TAGS = [["Anna", "lives", "#"], ["Paris", "."]], [["B-PER", "O", "O"], ["B-LOC", "O"]]


def written(path, columns, *, between=" ", comment=""):
    """Write sentences, given the lines of each as tuples of cells."""
    lines = (f"{comment}{''.join(f'{between.join(cells)}' + chr(10) for cells in sentence)}" for sentence in columns)
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def pairs(words=WORDS, tags=TAGS, *more):
    return [[(word, *more, tag) for word, tag in zip(*both, strict=True)] for both in zip(words, tags, strict=True)]


@pytest.mark.parametrize("between", [" ", "\t"])
@pytest.mark.parametrize(
    "comment",
    [
        "",
        "# id 5239\tdomain=train\n",
        "# sent_id = 1\n# text = Anna lives #\n",
        "#begin document (x); part 0\n",
        "# newdoc\n",
    ],
)
@pytest.mark.parametrize("more", [(), ("_", "_")])
def test_comments_before_a_sentence_are_none_of_its_words(tmp_path, between, comment, more):
    path = written(tmp_path / "a.conll", pairs(WORDS, TAGS, *more), between=between, comment=comment)
    table = read_conll(path)
    assert (table["tokens"], table["ner_tags"]) == (WORDS, TAGS)


def test_a_word_that_begins_with_a_hash_is_one_at_the_beginning_too(tmp_path):
    words, tags = [["#fail", "again"], ["#", "Paris"]], [["O", "O"], ["O", "B-LOC"]]
    for between in " \t":
        assert read_conll(written(tmp_path / "a.txt", pairs(words, tags), between=between))["tokens"] == words


def test_a_treebank(tmp_path):
    rows = """# sent_id = 1
1 I I PRON PRP _ 2 nsubj _ _
2-3 can't _ _ _ _ _ _ _ SpaceAfter=No
2 ca can AUX MD _ 0 root _ _
3 n't not PART RB _ 2 advmod _ _
3.1 go go VERB VB _ _ _ _ _

# sent_id = 2
1 10~000 10000 NUM CD _ 0 root _ _
"""
    path = tmp_path / "a.conllu"
    path.write_text(rows.replace(" ", "\t").replace("#\tsent_id\t=\t", "# sent_id = ").replace("~", " "))
    table = read_conll(path)
    assert table["tokens"] == [["I", "ca", "n't"], ["10 000"]]
    assert table["ner_tags"] == [["PRON", "AUX", "PART"], ["NUM"]]
    assert table["xpos"] == table["5"] == [["PRP", "MD", "RB"], ["CD"]]
    path.write_text(path.read_text().replace("\tPART\t", "\t_\t"))
    with pytest.raises(InputError, match=r'line 5 of .*a.conllu has no tag \("3 n.t not _ RB'):
        read_conll(path)


def test_columns_of_ones_own_choice(tmp_path):
    numbered = [
        [(str(i), word, tag, "O") for i, (word, tag) in enumerate(zip(*both, strict=True), 1)]
        for both in zip(WORDS, TAGS, strict=True)
    ]
    path = written(tmp_path / "a.tsv", numbered * 5, between="\t", comment="# http://source\n")
    match = (
        "counts words in the first of its 4 columns; say which hold words and tags by `text_column` and `label_column`"
    )
    with pytest.raises(InputError, match=match):
        load_tagging(path, Columns(), seed=0)
    loaded = load_tagging(path, Columns("2", label="3"), seed=0)
    assert loaded.label_names == ("B-LOC", "B-PER", "O")
    assert sorted({word for row in (*loaded.train.words, *loaded.report["validation"].words) for word in row}) == [
        "#",
        ".",
        "Anna",
        "Paris",
        "lives",
    ]
    path = written(tmp_path / "b.txt", [[cells[::-1] for cells in sentence] for sentence in pairs()])
    with pytest.raises(InputError, match="has tags in its first column; say which hold words"):
        load_tagging(path, Columns(), seed=0)
    assert read_conll(path, "2", "1")["2"] == WORDS


def test_a_header_and_blanks(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("token\tlabel\n10\u00a0000\tO\r\nAnna \t B-PER\n\u00a0\n\u00a0\tO\n")
    assert read_conll(path)["tokens"] == [["10\u00a0000", "Anna"], ["\u00a0"]]
    path.with_suffix(".conll").write_text("10\u00a0000 O\nAnna  B-PER \n")
    assert read_conll(path.with_suffix(".conll"))["tokens"] == [["10\u00a0000", "Anna"]]
    packed = tmp_path / "a.conll.gz"
    packed.write_bytes(gzip.compress(path.with_suffix(".conll").read_bytes()))
    assert read_conll(packed)["ner_tags"] == [["O", "B-PER"]]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "a O\nb O\nc X O\n",
            "line 3 of .* has 3 columns, but most lines have 2; write the same columns for each word",
        ),
        ("a\tO\nb\t\n", r"line 2 of .* has no tag \('b ?'\); add it"),
        ("a O\n# a comment within\nb O\n", "line 2 of .* has 4 columns, but most lines have 2"),
    ],
)
def test_lines_that_are_not_like_the_others(tmp_path, text, match):
    (tmp_path / "a.conll").write_text(text)
    with pytest.raises(InputError, match=match):
        read_conll(tmp_path / "a.conll")
