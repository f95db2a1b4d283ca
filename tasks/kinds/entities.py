"""Entities in tagged words, as seqeval finds them: in IOB1, IOB2, IOE and IOBES."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache


def are_entity_tags(names: Iterable[str]) -> bool:
    """Whether each is O, or B, I, E or S, alone or before a dash and the kind of the entity."""
    return all(name == "O" or (name[:1] in tuple("BIES") and name[1:2] in ("", "-")) for name in names)


@lru_cache(maxsize=2**16)
def entities(tags: tuple[str, ...]) -> frozenset[tuple[str, int, int]]:
    """Return kind, first and last word of each entity of a sentence, given its words' tags."""
    from seqeval.metrics.sequence_labeling import get_entities  # brings scikit-learn along: a second

    return frozenset(get_entities(list(tags)))
