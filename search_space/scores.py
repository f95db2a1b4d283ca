"""How much each head and each neuron matters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..files import replace_file

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class UnitScores:
    """A number for each prunable unit of an encoder, higher = keep it.

    Attributes:
        heads: `(L, H)` float64, of attention heads.
        neurons: `(L, F)` float64, of units of the feed-forward layers.
        comparable: all are in one unit, so that a head may be weighed against a neuron and layer against layer; else
            only units of one kind in one layer are.

    Raises:
        ValueError: shapes that do not fit together, or scores that are not numbers.
    """

    heads: FloatArray
    neurons: FloatArray
    comparable: bool = False

    def __post_init__(self) -> None:
        for name in ("heads", "neurons"):
            values = np.array(getattr(self, name), dtype=np.float64)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
            if not np.isfinite(values).all():
                raise ValueError(f"scores of {name} must be finite numbers; has the training of the model diverged?")
        if self.heads.ndim != 2 or self.neurons.ndim != 2 or len(self.heads) != len(self.neurons):
            raise ValueError(
                f"UnitScores needs heads (L, H) and neurons (L, F), got {self.heads.shape} and {self.neurons.shape}"
            )

    @property
    def head_order(self) -> NDArray[np.intp]:
        """Heads of each layer, `(L, H)`, the most important first; equal ones in their own order."""
        return _descending(self.heads)

    @property
    def neuron_order(self) -> NDArray[np.intp]:
        """Neurons of each layer, `(L, F)`, the most important first; equal ones in their own order."""
        return _descending(self.neurons)

    def normalised(self) -> UnitScores:
        """Return each layer's heads, and each layer's neurons, scaled to a Euclidean norm of 1; zeros stay zeros."""
        return UnitScores(_unit_rows(self.heads), _unit_rows(self.neurons), self.comparable)

    def save(self, path: Path) -> None:
        """Write them to a NumPy archive, at once or not at all."""
        with replace_file(path) as part, part.open("wb") as file:
            np.savez(file, heads=self.heads, neurons=self.neurons, comparable=self.comparable)

    @classmethod
    def load(cls, path: Path) -> UnitScores:
        """Read what :meth:`save` wrote; members carry a checksum, so a flipped bit is noticed.

        Raises:
            ValueError: a damaged file.
        """
        try:  # opened here because np.load leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(arrays["heads"], arrays["neurons"], bool(arrays["comparable"]))
        except MemoryError:
            raise
        except Exception as error:  # a damaged zip file fails in many ways
            raise ValueError(f"{path} is damaged ({type(error).__name__})") from error


def _descending(scores: FloatArray) -> NDArray[np.intp]:
    return np.argsort(-scores, axis=1, kind="stable")


def _unit_rows(scores: ArrayLike) -> FloatArray:
    scores = np.asarray(scores, dtype=np.float64)
    largest = np.abs(scores).max(axis=1, keepdims=True)
    scores = scores / np.where(largest > 0, largest, 1.0)  # first, for squares of tiny scores vanish
    norms = np.linalg.norm(scores, axis=1, keepdims=True)
    return scores / np.where(norms > 0, norms, 1.0)
