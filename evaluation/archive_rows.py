"""Rows of an archive as SQLite gives them, their digests, and what of them is an evaluation."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ..search_space import EncoderShape, SubnetMask
from .evaluation import NONZERO, REPORT, SELECTION, WHOLE, Evaluation
from .weights import Weights

_MOST_BYTES = 2**24  # of a mask or a point: a small file can hold one that unpacks to all of the memory
_SIZE = 8  # bytes of a digest
_ERROR, _ENCODER = "error", "encoder_parameters"
# Of recipes: what is counted and what is named, where it is there.
_NUMBERS, _NAMES = ("density", "epochs", "refit", "texts", "limit"), ("cost", "from")

Numbers = Sequence[tuple[str, float | None]]  # name and value, by name


class Row(NamedTuple):
    """A row of the table of evaluations, without its digest."""

    id: int
    key: str
    x: bytes | None
    space: str
    method: str
    seed: int
    split: str
    seconds: float | None
    asked: int
    weights: str
    recipe: str


class Damaged(ValueError):
    """A row that is no evaluation; says why."""


def digest(row: Row, numbers: Numbers) -> bytes:
    """Return the digest of a row and its values; the mask has one of its own, the key.

    Raises:
        Damaged: values of other types than they are written with.
    """
    try:
        texts = (row.key, row.space, row.method, row.split, row.weights, row.recipe, *(name for name, _ in numbers))
        content = "\x1f".join((*texts, str(int(row.seed)), str(int(row.asked)))).encode()
        amounts = [row.seconds, *(value for _, value in numbers)]
        floats = struct.pack(f"<{len(amounts)}d", *(math.nan if amount is None else amount for amount in amounts))
        return hashlib.blake2b(content + (row.x or b"") + floats, digest_size=_SIZE).digest()
    except (TypeError, ValueError, struct.error) as error:
        raise Damaged(f"it has values of another type: {error}") from error


def state_digest(name: str, state: bytes) -> bytes:
    """Return the digest of a searcher's state and its name."""
    return hashlib.blake2b(name.encode() + b"\x1f" + state, digest_size=_SIZE).digest()


def evaluation(
    row: Row, numbers: Numbers, mask: bytes | None, stored: bytes | None, shape: EncoderShape | None
) -> Evaluation:
    """Return what a row says.

    Args:
        row: as it is stored.
        numbers: its values, by name.
        mask: the packed mask of its key; None if there is none.
        stored: its digest; None in an archive that has none.
        shape: of the encoder that the archive is of; None to take any, and rows without the values that a run needs.

    Raises:
        Damaged: it has changed since it was written, or says nothing that is possible.
    """
    if stored is not None and stored != digest(row, numbers):
        raise Damaged("its digest differs")
    if mask is None:
        raise Damaged("its mask is missing")
    try:
        found = Evaluation(
            key=row.key,
            mask=unpacked_mask(mask),
            x=None if row.x is None else _point(unpack(row.x)),
            space=_text(row.space),
            method=_text(row.method),
            seed=int(row.seed),
            split=_text(row.split),
            values={_text(name): _number(value) for name, value in numbers},
            seconds=_number(row.seconds),
            asked=bool(row.asked),
            weights=Weights(row.weights),
            recipe=_recipe(json.loads(row.recipe)),
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise Damaged(" ".join(str(error).split())[:200]) from error
    except (zlib.error, MemoryError) as error:
        raise Damaged(f"its mask or point cannot be unpacked: {error}") from error
    if shape is not None:
        _check_of_a_run(found, shape)
    return found


def _check_of_a_run(found: Evaluation, shape: EncoderShape) -> None:
    """Refuse rows without what all pages and tables of a run take for granted."""
    sizes = (found.mask.heads.shape, found.mask.neurons.shape, found.mask.hidden.shape)
    layers = shape.num_layers
    if sizes != ((layers, shape.num_heads), (layers, shape.intermediate_size), (shape.hidden_size,)):
        raise Damaged("its mask is one of another encoder")
    if found.split in (SELECTION, REPORT):
        missing = [name for name in (_ERROR, _ENCODER) if name not in found.values]
        if missing and not (missing == [_ENCODER] and NONZERO in found.values):
            raise Damaged(f"it has no {missing[0]}")
    if found.weights is Weights.STANDARD and not math.isfinite(found.values.get("epochs", math.nan)):
        raise Damaged("it has no epochs")
    after = found.weights in (Weights.REFITTED, Weights.RECOVERED)
    if after and found.method != WHOLE and "from" not in found.recipe:
        raise Damaged("it does not say what it was cut from")
    if found.weights is Weights.RECOVERED and "epochs" not in found.recipe:
        raise Damaged("it does not say how long it was recovered")
    if found.weights is Weights.LADDER and not {"cost", "limit"} <= found.recipe.keys():
        raise Damaged("it does not say which rung it is")


def _recipe(found: object) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise TypeError("its recipe is no object")
    for name, value in found.items():
        if not isinstance(value, str | int | float | None):
            raise TypeError(f"its recipe has a {type(value).__name__} for {name}")
        if name in _NUMBERS and (isinstance(value, str | None) or not math.isfinite(value)):
            raise TypeError(f"its recipe has {value!r} for {name}, which is a number")
        if name in _NAMES and not isinstance(value, str):
            raise TypeError(f"its recipe has {value!r} for {name}, which is a name")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"it has {type(value).__name__} where a name stands")
    return value


def _number(value: object) -> float:
    if value is None:
        return math.nan
    if not isinstance(value, float | int) or not math.isfinite(value):
        raise TypeError(f"it has {str(value)[:40]!r} where a number stands")
    return float(value)


def _point(found: object) -> tuple[int, ...]:
    if not isinstance(found, list) or not all(type(value) is int for value in found):
        raise TypeError("its point is no list of integers")
    return tuple(found)


@lru_cache(4096)
def unpacked_mask(packed: bytes) -> SubnetMask:
    """Read a mask; a page or a table asks for the same ones a dozen times."""
    return SubnetMask.from_json(unpack(packed))


def pack(data: object) -> bytes:
    """Return JSON, compressed."""
    return zlib.compress(json.dumps(data, separators=(",", ":")).encode())


def unpack(blob: bytes) -> Any:
    """Return what :func:`pack` was given.

    Raises:
        ValueError, zlib.error: other bytes, or far too many.
    """
    reader = zlib.decompressobj()
    text = reader.decompress(blob, _MOST_BYTES)
    if reader.unconsumed_tail or not reader.eof:
        raise ValueError("a mask or a point that is too large or cut short")
    return json.loads(text)


def in_order(numbers: Sequence[tuple[str, float | None]]) -> list[tuple[str, float | None]]:
    """Return values as their digest has them."""
    return sorted(numbers, key=lambda pair: str(pair[0]))


def finite(value: float) -> float | None:
    """Return a number as SQLite keeps it: it has no NaN, which is NULL there."""
    return float(value) if math.isfinite(value) else None


def amounts(values: Mapping[str, float]) -> list[tuple[str, float | None]]:
    """Return the values of an evaluation as they are stored."""
    return [(name, finite(value)) for name, value in values.items()]
