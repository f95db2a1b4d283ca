"""Tags of entities in every scheme: told from other tags, and scored as entities."""

from __future__ import annotations

import numpy as np
import pytest
from secateur.errors import InputError
from secateur.tasks import Columns
from secateur.tasks.kinds.entities import entities, entity_tags
from secateur.tasks.tagging import load_tagging
from seqeval.scheme import BILOU, IOB2, IOBES, Entities

# Of each scheme the tag that begins, goes on with, ends and alone is an entity.
SCHEMES = {"BIES": IOBES, "BILU": BILOU, "BMES": None, "BMEW": None, "BIEW": None}
WRITTEN = {  # how letter and kind are put together
    "dash": "{letter}-{kind}",
    "underscore": "{letter}_{kind}",
    "colon": "{letter}:{kind}",
    "behind": "{kind}-{letter}",
    "small": "{letter}-{kind}",
}


def sentence(rng, letters, form):
    """Return random tags, and the entities that they were made of."""
    tags, right = [], set()
    while len(tags) < 12:
        length, kind = int(rng.integers(0, 5)), str(rng.choice(["PER", "B-SIDE_EFFECT"]))
        if not length:
            tags.append("O")
            continue
        inner = [letters[3]] if length == 1 else [letters[0], *letters[1] * (length - 2), letters[2]]
        right.add((kind, len(tags), len(tags) + length - 1))
        tags += [form.format(letter=letter, kind=kind) for letter in inner]
    return tags, right


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("letters", SCHEMES)
def test_entities_of_every_scheme_are_those_it_was_written_from(letters, form):
    rng = np.random.default_rng(0)
    made = [sentence(rng, letters, WRITTEN[form]) for _ in range(50)]
    if form == "small":
        made = [([tag[0].lower() + tag[1:] for tag in tags], right) for tags, right in made]
    names = tuple(sorted({tag for tags, _ in made for tag in tags}))
    canonical = dict(zip(names, entity_tags(names), strict=True))
    for tags, right in made:
        assert entities(tuple(canonical[tag] for tag in tags)) == right
    if SCHEMES[letters] is not None and form == "dash":
        theirs = Entities([tags for tags, _ in made], SCHEMES[letters]).entities
        assert [{(one.tag, one.start, one.end - 1) for one in row} for row in theirs] == [right for _, right in made]


def test_iob_and_letters_alone():
    assert entity_tags(["B-PER", "I-PER", "O"]) == ("B-PER", "I-PER", "O")
    assert entity_tags(["B_PER", "I_PER", "o"]) == ("B-PER", "I-PER", "O")
    assert entity_tags("BMES") == tuple("BIES")  # words of a text without blanks
    rows = [["B-PER", "I-PER", "O", "B-PER"], ["O", "B-X", "B-X"]]
    theirs = Entities(rows, IOB2).entities
    assert [entities(tuple(row)) for row in rows] == [{(e.tag, e.start, e.end - 1) for e in row} for row in theirs]


@pytest.mark.parametrize(
    "names",
    [
        ["NOUN", "VERB"],
        ["PER", "LOC", "O"],
        ["B-PER", "I_PER", "O"],  # two ways of writing
        ["B-PER", "L-PER", "E-PER", "O"],  # two letters for one thing
        ["B-PER", "M-PER", "I-PER"],
        ["B-PER", "PER-I"],
        ["B-", "O"],
        ["SpaceAfter=No", "_"],
    ],
)
def test_tags_that_are_none_of_entities(names):
    assert entity_tags(names) is None


def tagged(path, tags):
    path.write_text("\n\n".join("\n".join(f"w{i}{j} {tag}" for j, tag in enumerate(tags)) for i in range(20)))
    return path


@pytest.mark.parametrize(
    ("tags", "metric"),
    [
        (["U-PER", "O", "B-LOC", "L-LOC"], "entity_f1"),
        (["B-PER", "M-PER", "E-PER", "O"], "entity_f1"),
        (["B_PER", "I_PER", "O"], "entity_f1"),
        (["PER", "O"], "token_accuracy"),
        (["NOUN", "VERB"], "token_accuracy"),
    ],
)
def test_the_metric_follows_the_tags(tmp_path, tags, metric):
    assert load_tagging(tagged(tmp_path / "a.conll", tags), Columns(), seed=0).metric == metric


def test_tags_that_are_nearly_those_of_entities_need_a_word(tmp_path):
    path = tagged(tmp_path / "a.conll", ["B-PER", "I-PER", "O", "MISC"])
    match = r"tags of .*a.conll are like those of entities \(B-PER, I-PER, MISC, O\), but 'MISC' is not; write all of"
    with pytest.raises(InputError, match=match):
        load_tagging(path, Columns(), seed=0)
    assert load_tagging(path, Columns(metric="token_accuracy"), seed=0).metric == "token_accuracy"
    with pytest.raises(InputError, match=r"are like those of entities .*, but they mix schemes; write all of them in"):
        load_tagging(tagged(path, ["B-PER", "L-PER", "E-PER", "O"]), Columns(), seed=0)
    with pytest.raises(InputError, match=r"entity_f1 needs tags such as .* mixes schemes: B-PER, E-PER, L-PER, O; use"):
        load_tagging(path, Columns(metric="entity_f1"), seed=0)
