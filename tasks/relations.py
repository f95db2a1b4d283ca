"""What the texts of a split are to each other: pairs that are more or less alike, or queries and what answers them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairs:
    """The texts 2 i and 2 i + 1 of a split are a pair.

    Attributes:
        scores: `(m,)` float64, how alike those of each pair are, on any scale.
    """

    scores: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Relevance:
    """The first texts of a split are queries, those after them documents.

    Attributes:
        grades: of each query, `m` in all, how relevant a document is, by its number among the documents; those that are
            not named are not relevant.
    """

    grades: tuple[Mapping[int, float], ...]

    def __len__(self) -> int:
        return len(self.grades)


Relations = Pairs | Relevance
