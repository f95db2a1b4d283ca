"""A search space with one coordinate more: which tokens a subnetwork reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .mask import SubnetMask, TokenSet
from .spaces import Points, SearchSpace


class WithVocabularies:
    """The box of a search space and, as its last coordinate, the place of a vocabulary among those that are offered.

    The last one is the whole vocabulary, so that the largest point is the whole model. A box of its own, and no
    `SearchSpace`: what trains a supernet knows of no vocabularies, since its weights do not depend on them.

    Args:
        space: of the encoder.
        tokens: the other vocabularies, the smallest first.

    Attributes:
        name: of the space.
        tokens: as given.
        lower, upper: `(d + 1,)` int, both ends inclusive.

    Raises:
        ValueError: no vocabularies, two that are the same, or not in the order of their size.

    Example:
        >>> WithVocabularies(space, [TokenSet(8000, "5f1e")]).mask([3, 6, 768, 0]).tokens
        TokenSet(count=8000, digest='5f1e')
    """

    def __init__(self, space: SearchSpace, tokens: Sequence[TokenSet]) -> None:
        counts = [one.count for one in tokens]
        if not tokens or len(set(tokens)) < len(tokens) or counts != sorted(counts):
            raise ValueError(f"an axis needs different vocabularies, the smallest first, got {counts}")
        self._space = space
        self.tokens = tuple(tokens)
        self._tokens: tuple[TokenSet | None, ...] = (*tokens, None)
        self.name = space.name
        self.lower: Points = np.append(space.lower, 0)
        self.upper: Points = np.append(space.upper, len(tokens))

    def mask(self, x: Points) -> SubnetMask:
        """Decode a point `(d + 1,)` int.

        Raises:
            ValueError: a point of another length or outside the box.
        """
        x = np.asarray(x, dtype=np.int64)
        if x.shape != self.lower.shape or not 0 <= x[-1] < len(self._tokens):
            raise ValueError(f"a point with a vocabulary has shape {self.lower.shape}, the last 0..{self.upper[-1]}")
        return self._space.mask(x[:-1]).with_tokens(self._tokens[x[-1]])

    def truncated(self, x: Points, depth: int) -> Points | None:
        """Return the point whose mask is `mask(x).truncated(depth)`, with the same tokens; None if there is none."""
        found = self._space.truncated(x[:-1], depth)
        return None if found is None else np.append(found, x[-1])

    def sample(self, n: int, rng: np.random.Generator) -> Points:
        """Draw `(n, d + 1)` points: of the space as it draws them, each with any vocabulary."""
        return self._drawn(self._space.sample(n, rng), rng)

    def sample_by_size(self, n: int, rng: np.random.Generator) -> Points:
        """Draw `(n, d + 1)` points: of the space uniform in size, each with any vocabulary."""
        return self._drawn(self._space.sample_by_size(n, rng), rng)

    def in_turn(self, xs: Points) -> Points:
        """Give points `(n, d)` of the space, the largest first, vocabularies `(n, d + 1)` in turn, the whole first."""
        turns = len(self._tokens) - 1 - np.arange(len(xs)) % len(self._tokens)
        return np.column_stack([xs, turns])

    def _drawn(self, xs: Points, rng: np.random.Generator) -> Points:
        return np.column_stack([xs, rng.integers(len(self._tokens), size=len(xs))])
