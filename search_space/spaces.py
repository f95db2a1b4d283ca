"""The four search spaces of Klein et al. (TMLR 2024, section 3) as boxes of integers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .mask import EncoderShape, SubnetMask

Points = NDArray[np.int64]


def least_width(shape: EncoderShape) -> int:
    """Return the fewest residual dimensions that a space keeps: an eighth, and at least one."""
    return max(1, shape.hidden_size // 8)


class SearchSpace(ABC):
    """A box of integers whose points are subnetworks.

    Args:
        shape: the encoder's sizes.
        elastic_hidden: add one coordinate, the number of residual dimensions kept, at the end: from an eighth of them,
            since LayerNorm leaves little of a text in few dimensions, and in a single one nothing at all.
        layer_order: layers, `(L,)`, in the order in which a space that keeps a number of them keeps them; the first
            ones first if None.

    Attributes:
        lower, upper: `(d,)` int, both ends inclusive.
        labels: `d` names of the coordinates.
        counts_layers: whether `layer_order` says anything.
    """

    name: str
    counts_layers = False

    def __init__(
        self, shape: EncoderShape, *, elastic_hidden: bool = False, layer_order: Sequence[int] | None = None
    ) -> None:
        self.shape = shape
        self.layer_order = tuple(range(shape.num_layers) if layer_order is None else layer_order)
        if sorted(self.layer_order) != list(range(shape.num_layers)):
            raise ValueError(f"an order of {shape.num_layers} layers names each of them once, got {self.layer_order}")
        self.elastic_hidden = elastic_hidden
        lower, upper, labels = self._box()
        if elastic_hidden:
            lower, upper, labels = [*lower, least_width(shape)], [*upper, shape.hidden_size], [*labels, "hidden"]
        self.lower: Points = np.array(lower, dtype=np.int64)
        self.upper: Points = np.array(upper, dtype=np.int64)
        self.labels = tuple(labels)

    @abstractmethod
    def _box(self) -> tuple[list[int], list[int], list[str]]:
        """Return lower ends, upper ends and labels, without the residual width."""

    @abstractmethod
    def _mask(self, x: Points, hidden: int) -> SubnetMask:
        """Decode `x`, the coordinates without the residual width."""

    @abstractmethod
    def _cut(self, x: Points, depth: int) -> None:
        """Drop, in place, what lies after the first `depth` layers; `x` is without the residual width."""

    @abstractmethod
    def _uniform(self, share: float) -> Points:
        """Return the point, without the residual width, of :meth:`uniform_cut`."""

    @abstractmethod
    def _smallest(self) -> Points:
        """Return the point, without the residual width, that the sandwich rule takes as the smallest."""

    @abstractmethod
    def _nearest(self, heads: NDArray[np.bool_], neurons: NDArray[np.bool_]) -> Points:
        """Return the point, without the residual width, of :meth:`nearest`."""

    def _sample_one(self, rng: np.random.Generator) -> Points:
        box = slice(0, len(self.lower) - self.elastic_hidden)
        return rng.integers(self.lower[box], self.upper[box], endpoint=True)

    @property
    def dimensions(self) -> int:
        """The number of coordinates, d."""
        return len(self.lower)

    def mask(self, x: Points) -> SubnetMask:
        """Decode a point.

        Args:
            x: `(d,)` int.

        Raises:
            ValueError: a point of another length or outside the box.
        """
        x = np.asarray(x, dtype=np.int64)
        if x.shape != self.lower.shape:
            raise ValueError(f"a point of the {self.name} space has shape {self.lower.shape}, got {x.shape}")
        outside = np.flatnonzero((x < self.lower) | (x > self.upper))
        if outside.size:
            i = int(outside[0])
            raise ValueError(f"{self.labels[i]} = {x[i]} lies outside {self.lower[i]}..{self.upper[i]}")
        if self.elastic_hidden:
            return self._mask(x[:-1], int(x[-1]))
        return self._mask(x, self.shape.hidden_size)

    def truncated(self, x: Points, depth: int) -> Points | None:
        """Return the point `(d,)` whose mask is `mask(x).truncated(depth)`: nothing kept beyond the first layers.

        None where the space has no such point, as `small` has not where it keeps layers in another order.
        """
        x = np.array(x, dtype=np.int64)
        self._cut(x[: len(x) - self.elastic_hidden], depth)
        return x

    def uniform_cut(self, share: float) -> Points:
        """Return the point `(d,)` that keeps the first share of the heads and of the neurons of every layer.

        In an encoder sorted by importance these are the best; the `layer` space, which keeps layers whole, keeps a
        share of them.

        Args:
            share: 0 to 1; at least one head and one neuron per layer, or one layer, are kept.
        """
        x = self._uniform(share)
        return np.append(x, self.shape.hidden_size) if self.elastic_hidden else x

    def _counts(self, share: float) -> tuple[int, int]:
        """Return that share of a layer's heads and neurons, at least one of each."""
        return max(1, round(share * self.shape.num_heads)), max(1, round(share * self.shape.intermediate_size))

    @cached_property
    def largest(self) -> Points:
        """The point of the whole encoder, `(d,)`."""
        return self.upper.copy()

    @cached_property
    def smallest(self) -> Points:
        """The point that the sandwich rule trains as the smallest, `(d,)`.

        As the paper's experiments had it: one head and one neuron wherever the space must keep something. Its later
        code takes the lower ends, an encoder of no layers, which teaches the shared weights nothing.
        """
        return np.append(self._smallest(), self.lower[-1]) if self.elastic_hidden else self._smallest()

    def sample(self, n: int, rng: np.random.Generator) -> Points:
        """Draw `(n, d)` points as the paper does.

        Uniform in each coordinate for `small` and `medium`; for `layer` and `large`, whose coordinates are bits, the
        number of kept ones is drawn first. Medium points are all of about half size: see :meth:`sample_by_size`.
        """
        xs = np.array([self._sample_one(rng) for _ in range(n)], dtype=np.int64).reshape(
            n, self.dimensions - self.elastic_hidden
        )
        if self.elastic_hidden:
            widths = rng.integers(self.lower[-1], self.shape.hidden_size, size=(n, 1), endpoint=True)
            xs = np.hstack([xs, widths])
        return xs

    def sample_by_size(
        self, n: int, rng: np.random.Generator, *, size: Callable[[SubnetMask], float] | None = None
    ) -> Points:
        """Draw `(n, d)` points whose sizes are uniform between the smallest and the largest subnetwork's.

        A target is drawn first. Each coordinate gets a uniform number u, and the exponent g is found by bisection with
        which `lower + (upper - lower + 1) * u**g` has the target's size: g = 0 gives the largest point, g to infinity
        the lower ends, and between them the coordinates keep the diversity of the u.

        Args:
            n: how many points.
            rng: source of randomness.
            size: any measure that does not shrink when a subnetwork grows; encoder parameters if None.
        """
        measure = size or self._parameters
        low, high = measure(self.mask(self.smallest)), measure(self.mask(self.largest))
        xs = [self._of_size(float(rng.uniform(low, high)), rng, measure) for _ in range(n)]
        return np.array(xs, dtype=np.int64).reshape(n, self.dimensions)

    def nearest(self, mask: SubnetMask) -> Points:
        """Return the point `(d,)` that keeps about what a mask does, as far as the space can say it.

        `large` says all of it, `medium` how many units each block keeps, `small` how many layers there are and the mean
        numbers of their units, `layer` which layers keep half of their units or more, or the most.
        """
        x = self._nearest(mask.heads, mask.neurons)
        x = np.append(x, mask.hidden_size) if self.elastic_hidden else x
        return np.clip(x, self.lower, self.upper).astype(np.int64)

    def _parameters(self, mask: SubnetMask) -> float:
        return float(mask.encoder_parameters(self.shape))

    def _of_size(self, target: float, rng: np.random.Generator, measure: Callable[[SubnetMask], float]) -> Points:
        draws = rng.uniform(size=self.dimensions)

        def point(log_exponent: float) -> Points:
            scaled = self.lower + (self.upper - self.lower + 1) * draws ** np.exp(log_exponent)
            return np.minimum(scaled.astype(np.int64), self.upper)

        few, many = 6.0, -6.0  # exponents e**6 (next to the lower ends) and e**-6 (next to the upper ends)
        for _ in range(16):
            middle = (few + many) / 2
            if measure(self.mask(point(middle))) > target:
                many = middle
            else:
                few = middle
        candidates = [point(few), point(many)]
        distances = [abs(measure(self.mask(x)) - target) for x in candidates]
        return candidates[int(np.argmin(distances))]


class Small(SearchSpace):
    """Three numbers for the whole encoder: layers (0 to L), heads (1 to H) and neurons (1 to F) of every layer.

    In the paper these are the first layers; see `layer_order`.

    Example:
        >>> Small(EncoderShape(6, 12, 32, 384, 1536)).mask([3, 6, 768])
        SubnetMask(heads=[6, 6, 6, 0, 0, 0], neurons=[768, 768, 768, 0, 0, 0], hidden=384)
    """

    name = "small"
    counts_layers = True

    def _box(self) -> tuple[list[int], list[int], list[str]]:
        upper = [self.shape.num_layers, self.shape.num_heads, self.shape.intermediate_size]
        return [0, 1, 1], upper, ["layers", "heads", "neurons"]

    def _mask(self, x: Points, hidden: int) -> SubnetMask:
        layers, heads, neurons = (int(value) for value in x)
        kept = np.isin(np.arange(self.shape.num_layers), self.layer_order[:layers])
        return SubnetMask.from_counts(self.shape, kept * heads, kept * neurons, hidden)

    def truncated(self, x: Points, depth: int) -> Points | None:
        """Return the point of the layers kept that are among the first, if they are those that are kept longest."""
        left = [layer for layer in self.layer_order[: x[0]] if layer < depth]
        return super().truncated(x, depth) if set(left) == set(self.layer_order[: len(left)]) else None

    def _cut(self, x: Points, depth: int) -> None:
        x[0] = sum(layer < depth for layer in self.layer_order[: x[0]])

    def _uniform(self, share: float) -> Points:
        return np.array([self.shape.num_layers, *self._counts(share)], dtype=np.int64)

    def _smallest(self) -> Points:
        return np.array([1, 1, 1], dtype=np.int64)

    def _nearest(self, heads: NDArray[np.bool_], neurons: NDArray[np.bool_]) -> Points:
        counts = np.array([heads.sum(axis=1), neurons.sum(axis=1)])
        kept = counts.any(axis=0)
        return np.array([kept.sum(), *np.round(counts.sum(axis=1) / max(1, kept.sum()))], dtype=np.int64)


class Medium(SearchSpace):
    """Two numbers per layer: heads (0 to H) and neurons (0 to F); heads of all layers first, then neurons."""

    name = "medium"

    def _box(self) -> tuple[list[int], list[int], list[str]]:
        layers = range(self.shape.num_layers)
        upper = [self.shape.num_heads] * len(layers) + [self.shape.intermediate_size] * len(layers)
        labels = [f"heads {i}" for i in layers] + [f"neurons {i}" for i in layers]
        return [0] * len(upper), upper, labels

    def _mask(self, x: Points, hidden: int) -> SubnetMask:
        heads, neurons = x.reshape(2, -1)
        return SubnetMask.from_counts(self.shape, heads, neurons, hidden)

    def _cut(self, x: Points, depth: int) -> None:
        x.reshape(2, -1)[:, depth:] = 0

    def _uniform(self, share: float) -> Points:
        return np.repeat(np.array(self._counts(share), dtype=np.int64), self.shape.num_layers)

    def _smallest(self) -> Points:
        return np.ones(2 * self.shape.num_layers, dtype=np.int64)

    def _nearest(self, heads: NDArray[np.bool_], neurons: NDArray[np.bool_]) -> Points:
        return np.concatenate([heads.sum(axis=1), neurons.sum(axis=1)])


class Layer(SearchSpace):
    """One bit per layer: keep it whole (1) or drop it (0)."""

    name = "layer"
    counts_layers = True

    def _box(self) -> tuple[list[int], list[int], list[str]]:
        count = self.shape.num_layers
        return [0] * count, [1] * count, [f"layer {i}" for i in range(count)]

    def _mask(self, x: Points, hidden: int) -> SubnetMask:
        return SubnetMask.from_counts(self.shape, x * self.shape.num_heads, x * self.shape.intermediate_size, hidden)

    def _cut(self, x: Points, depth: int) -> None:
        x[depth:] = 0

    def _uniform(self, share: float) -> Points:
        kept = self.layer_order[: max(1, round(share * self.shape.num_layers))]
        return np.isin(np.arange(self.shape.num_layers), kept).astype(np.int64)

    def _smallest(self) -> Points:
        return np.eye(self.shape.num_layers, dtype=np.int64)[self.layer_order[0]]

    def _sample_one(self, rng: np.random.Generator) -> Points:
        kept = np.zeros(self.shape.num_layers, dtype=np.int64)
        chosen = rng.permutation(self.shape.num_layers)[: rng.integers(0, self.shape.num_layers)]
        kept[chosen] = 1
        return kept

    def _nearest(self, heads: NDArray[np.bool_], neurons: NDArray[np.bool_]) -> Points:
        shares = (heads.mean(axis=1) + neurons.mean(axis=1)) / 2
        return (shares >= min(0.5, shares.max())).astype(np.int64)


class Large(SearchSpace):
    """One bit per head and one per neuron: `L * H` bits of heads, layer by layer, then `L * F` bits of neurons."""

    name = "large"

    def _box(self) -> tuple[list[int], list[int], list[str]]:
        s = self.shape
        labels = [f"head {i}.{j}" for i in range(s.num_layers) for j in range(s.num_heads)]
        labels += [f"neuron {i}.{j}" for i in range(s.num_layers) for j in range(s.intermediate_size)]
        return [0] * len(labels), [1] * len(labels), labels

    def _mask(self, x: Points, hidden: int) -> SubnetMask:
        split = self.shape.num_layers * self.shape.num_heads
        heads = x[:split].reshape(self.shape.num_layers, -1)
        neurons = x[split:].reshape(self.shape.num_layers, -1)
        return SubnetMask(heads, neurons, np.arange(self.shape.hidden_size) < hidden)

    def _cut(self, x: Points, depth: int) -> None:
        split = self.shape.num_layers * self.shape.num_heads
        for block in (x[:split], x[split:]):
            block.reshape(self.shape.num_layers, -1)[depth:] = 0

    def _uniform(self, share: float) -> Points:
        heads, neurons = self._counts(share)
        first = [
            np.arange(size) < kept
            for size, kept in ((self.shape.num_heads, heads), (self.shape.intermediate_size, neurons))
        ]
        return np.concatenate([np.tile(kept, self.shape.num_layers) for kept in first]).astype(np.int64)

    def _smallest(self) -> Points:
        x = np.zeros(self.shape.num_layers * (self.shape.num_heads + self.shape.intermediate_size), dtype=np.int64)
        x[[0, self.shape.num_layers * self.shape.num_heads]] = 1
        return x

    def _sample_one(self, rng: np.random.Generator) -> Points:
        size = self.shape.num_layers * (self.shape.num_heads + self.shape.intermediate_size)
        kept = np.ones(size, dtype=np.int64)
        kept[rng.permutation(size)[: rng.integers(1, size)]] = 0
        return kept

    def _nearest(self, heads: NDArray[np.bool_], neurons: NDArray[np.bool_]) -> Points:
        return np.concatenate([heads.ravel(), neurons.ravel()]).astype(np.int64)


SPACES: dict[str, type[SearchSpace]] = {space.name: space for space in (Small, Medium, Large, Layer)}
