"""Numbers that a setting takes as one text."""

from __future__ import annotations

import math
from fractions import Fraction

from ...errors import InputError
from ...supernet.training.settings import MOST

ALL = "all"  # in the place of a number of tokens: the whole vocabulary
CORPUS = "corpus"  # in the place of a number of tokens: all that the texts have


def parse_shares(text: str, name: str = "shares") -> tuple[Fraction, ...]:
    """Read shares such as `3/4,1/2,0.1`, each once, in the order given.

    Raises:
        InputError: something that is not a number above 0 and at most 1; `name` is that of the setting.
    """
    shares = []
    for part in text.split(","):
        try:
            share = Fraction(part.strip())
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        if not 0 < share <= 1:
            such = "3/4,1/2,0.1" if name == "shares" else "0.9,0.6"
            raise InputError(f"`{name}` needs numbers above 0 and at most 1, such as {such}; got {part.strip()!r}")
        shares.append(share)
    return tuple(dict.fromkeys(shares))


def parse_amounts(text: str, name: str) -> tuple[float, ...]:
    """Read numbers such as `8,4.5`, each once.

    Raises:
        InputError: something that is not a finite number above 0; `name` is that of the setting.
    """
    found = []
    for part in text.split(","):
        try:
            amount = float(part)
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            raise InputError(f"`{name}` needs numbers above 0, such as 8,4; got {part.strip()!r}")
        found.append(amount)
    return tuple(dict.fromkeys(found))


def parse_densities(text: str) -> tuple[float, ...]:
    """Read densities such as `0.9,0.6`; as :func:`parse_shares`."""
    return tuple(float(share) for share in parse_shares(text, "density"))


def parse_vocabularies(text: str) -> list[int | None]:
    """Read how many tokens the models of a search may have beside `all`, such as `corpus,8000`.

    Raises:
        InputError: as :func:`parse_vocabulary`.
    """
    return [parse_vocabulary(part) for part in map(str.strip, text.split(",")) if part != ALL]


def parse_vocabulary(text: str, name: str = "vocabulary") -> int | None:
    """Read how many tokens are kept; None for `corpus`, all that texts have.

    Raises:
        InputError: something that is neither `corpus` nor a whole number above 0; `name` is that of the setting.
    """
    if text == CORPUS:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 0 < number <= MOST:
        raise InputError(f"`{name}` needs {CORPUS!r} or a number of tokens, such as 8000; got {text!r}")
    return number
