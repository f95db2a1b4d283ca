"""Tokenised splits in a file, so that a data set is tokenised once."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import replace_file
from .passages import Passages
from .relations import Pairs, Relevance
from .split import Split


def load_cached(path: Path) -> tuple[dict[str, Split], int] | None:
    """Return the splits stored at ``path`` and the number of truncated texts; None if it is absent or damaged."""
    try:
        # Opened here because np.load leaves a damaged file open; members carry a checksum, so a flipped bit is noticed.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        parts: dict[str, dict[str, np.ndarray]] = {}
        for key, array in arrays.items():
            name, _, part = key.partition("/")
            if part:
                parts.setdefault(name, {})[part] = array
        return {name: _split(part) for name, part in parts.items()}, int(arrays["truncated"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None


def store(path: Path, splits: dict[str, Split], truncated: int) -> None:
    """Write the splits to ``path``, which holds nothing or all of them at any time.

    Raises:
        InputError: a full disk, or a folder that cannot be written to.
    """
    arrays: dict[str, np.ndarray] = {"truncated": np.array(truncated)}
    for name, split in splits.items():
        arrays |= {f"{name}/{key}": array for key, array in _arrays(split).items()}
    with replace_file(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]


def _arrays(split: Split) -> dict[str, np.ndarray]:
    arrays = {"tokens": np.concatenate(split.input_ids), "lengths": split.lengths}
    arrays["labels"] = np.concatenate(split.labels) if isinstance(split.labels, list) else split.labels
    if split.token_type_ids is not None:
        arrays["types"] = np.concatenate(split.token_type_ids)
    if split.groups is not None:
        arrays["groups"] = split.groups
    if split.tags:
        arrays["tags"] = _as_bytes(split.tags)
    if split.passages is not None:
        passages = split.passages
        contexts = {text: i for i, text in enumerate(dict.fromkeys(passages.contexts))}  # each asked about many times
        asked = [contexts[text] for text in passages.contexts]
        arrays["spans"], arrays["questions"] = passages.places, passages.questions
        arrays["passages"] = _as_bytes([list(contexts), asked, passages.answers, passages.unanswerable])
    if isinstance(split.relations, Pairs):
        arrays["pairs"] = split.relations.scores
    if isinstance(split.relations, Relevance):
        arrays["relevance"] = _as_bytes([list(grades.items()) for grades in split.relations.grades])
    return arrays


def _split(arrays: dict[str, np.ndarray]) -> Split:
    ends = np.cumsum(arrays["lengths"])[:-1]
    labels: np.ndarray | list[np.ndarray] = arrays["labels"]
    tags: tuple[str, ...] = ()
    passages, relations = None, None
    if "tags" in arrays:
        labels, tags = np.split(arrays["labels"], ends), tuple(_from_bytes(arrays["tags"]))
    if "passages" in arrays:
        contexts, asked, answers, unanswerable = _from_bytes(arrays["passages"])
        passages = Passages(
            arrays["questions"],
            np.split(arrays["spans"], ends),
            tuple(contexts[i] for i in asked),
            tuple(map(tuple, answers)),
            unanswerable,
        )
    if "pairs" in arrays:
        relations = Pairs(arrays["pairs"])
    if "relevance" in arrays:
        relations = Relevance(tuple({int(at): grade for at, grade in one} for one in _from_bytes(arrays["relevance"])))
    return Split(
        np.split(arrays["tokens"], ends),
        np.split(arrays["types"], ends) if "types" in arrays else None,
        labels,
        per_token=bool(tags) or passages is not None,
        passages=passages,
        tags=tags,
        groups=arrays.get("groups"),
        relations=relations,
    )


def _as_bytes(value: object) -> NDArray[np.uint8]:
    """Return JSON as an array: texts of any length without pickle."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _from_bytes(array: NDArray[np.uint8]) -> list:
    return json.loads(array.tobytes())
