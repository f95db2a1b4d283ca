"""Entities in tagged words, as seqeval finds them: in IOB1, IOB2, IOE, IOBES, and in what others call these."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import product

OUTSIDE = "O"
# The letters of a scheme for the first, an inner and the last word of an entity, and for a single one: IOBES has BIES,
# which is seqeval's, BILOU BILU, BMEWO BMEW.
_SCHEMES = tuple(map("".join, product("B", "IM", "EL", "SUW")))
_BEFORE = re.compile(r"(?P<letter>[BIESLUMW])(?:(?P<mark>[-_:/])(?P<kind>.+))?", re.IGNORECASE | re.DOTALL)
_BEHIND = re.compile(r"(?P<kind>.+)(?P<mark>[-_:/])(?P<letter>[BIESLUMW])", re.IGNORECASE | re.DOTALL)


def entity_tags(names: Iterable[str]) -> tuple[str, ...] | None:
    """Return tags as IOBES has them, `B-PER`; None if they are not all of one scheme of entities.

    The letter stands alone, or before or behind a dash (or `_`, `:`, `/`) and the kind of the entity, at the same side
    in all tags. Schemes are IOB, IOE, IOBES, BILOU, BMES and BMEWO.
    """
    names = tuple(names)
    for form in (_BEFORE, _BEHIND):
        found = [None if name.upper() == OUTSIDE else form.fullmatch(name) for name in names]
        if not all(one or name.upper() == OUTSIDE for one, name in zip(found, names, strict=True)):
            continue
        letters = {one["letter"].upper() for one in found if one}
        scheme = next((scheme for scheme in _SCHEMES if letters <= set(scheme)), None)
        if scheme is not None and len({one["mark"] for one in found if one and one["mark"]}) <= 1:
            return tuple(OUTSIDE if one is None else _canonical(one, scheme) for one in found)
    return None


def _canonical(tag: re.Match[str], scheme: str) -> str:
    letter = "BIES"[scheme.index(tag["letter"].upper())]
    return letter if tag["kind"] is None else f"{letter}-{tag['kind']}"


def look_like_entities(names: Iterable[str]) -> bool:
    """Whether some tag is O and some other is of an entity, `B-PER` or `U_PER`, be the rest what it may."""
    names = tuple(names)
    return OUTSIDE in names and any(re.fullmatch(r"[BIESLUMW][-_].+|.+[-_][BIESLUMW]", name) for name in names)


@lru_cache(maxsize=2**16)
def entities(tags: tuple[str, ...]) -> frozenset[tuple[str, int, int]]:
    """Return kind, first and last word of each entity of a sentence, given its words' tags as IOBES has them."""
    from seqeval.metrics.sequence_labeling import get_entities  # brings scikit-learn along: a second

    return frozenset(get_entities(list(tags)))
