"""What a subnetwork keeps: the shape of an encoder and three boolean arrays on it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class TokenSet:
    """Some tokens of a vocabulary, by name: a mask need not list them.

    Attributes:
        count: how many.
        digest: a hash of which.

    Raises:
        ValueError: none, or a digest that is no name.
    """

    count: int
    digest: str

    def __post_init__(self) -> None:
        if type(self.count) is not int or self.count < 1 or not isinstance(self.digest, str) or not self.digest:
            raise ValueError(f"tokens are told by their number and a digest, got {self.count!r} and {self.digest!r}")


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of a Transformer encoder, and which of a layer's parameters there are.

    Attributes:
        num_layers: L.
        num_heads: H of each layer.
        head_size: d, of one head.
        hidden_size: D, of the residual stream.
        intermediate_size: F, neurons of each layer.
        gated: a neuron is multiplied by a linear map of the block's input.
        attention_biases: queries, keys, values and attention's output have biases.
        ffn_in_biases: neurons have.
        ffn_out_biases: the feed-forward block's output has.
        norm_biases: LayerNorms have.
        first_norm: the first layer's attention has a LayerNorm.

    Example:
        >>> EncoderShape(num_layers=6, num_heads=12, head_size=32, hidden_size=384, intermediate_size=1536)
        ... # MiniLM-L6
    """

    num_layers: int
    num_heads: int
    head_size: int
    hidden_size: int
    intermediate_size: int
    gated: bool = False
    attention_biases: bool = True
    ffn_in_biases: bool = True
    ffn_out_biases: bool = True
    norm_biases: bool = True
    first_norm: bool = True

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not isinstance(value, bool) and value < 1:
                raise ValueError(f"{name} of an encoder must be at least 1, got {value}")

    @cached_property
    def encoder_parameters(self) -> int:
        """Parameters of the full encoder: its layers, without embeddings, pooler and head."""
        return SubnetMask.full(self).encoder_parameters(self)


class SubnetMask:
    """What a subnetwork keeps, True = keep. Immutable; hashed and compared by content.

    Which tokens it reads is part of it: an encoder that reads others is another model. Nothing of the encoder depends
    on them, so that it is run and cut out :meth:`with_tokens` of all.

    Args:
        heads: `(L, H)` bool, attention heads.
        neurons: `(L, F)` bool, units of the feed-forward layers.
        hidden: `(D,)` bool, dimensions of the residual stream.
        tokens: those of the vocabulary that have a row in its table of words; all if None.

    A block (attention or feed-forward) that keeps nothing is dropped whole: its input passes through, and its output
    bias and LayerNorm are bypassed. Source: Klein et al., TMLR 2024, appendix; Xia et al., ACL 2022, section 3.

    Raises:
        ValueError: dimensions that do not fit together, or no hidden dimension kept.
    """

    def __init__(self, heads: ArrayLike, neurons: ArrayLike, hidden: ArrayLike, tokens: TokenSet | None = None) -> None:
        self.heads = _frozen(heads)
        self.neurons = _frozen(neurons)
        self.hidden = _frozen(hidden)
        self.tokens = tokens
        if self.heads.ndim != 2 or self.neurons.ndim != 2 or self.hidden.ndim != 1:
            raise ValueError(
                "a SubnetMask needs heads (L, H), neurons (L, F) and hidden (D,), got "
                f"{self.heads.shape}, {self.neurons.shape} and {self.hidden.shape}"
            )
        if len(self.heads) != len(self.neurons):
            raise ValueError(f"heads has {len(self.heads)} layers but neurons has {len(self.neurons)}")
        if not self.hidden.any():
            raise ValueError("hidden keeps no dimension; a residual stream needs at least one")

    @classmethod
    def full(cls, shape: EncoderShape) -> SubnetMask:
        """Return the mask that keeps everything."""
        return cls.from_counts(
            shape, [shape.num_heads] * shape.num_layers, [shape.intermediate_size] * shape.num_layers
        )

    @classmethod
    def from_counts(
        cls, shape: EncoderShape, heads: ArrayLike, neurons: ArrayLike, hidden: int | None = None
    ) -> SubnetMask:
        """Keep the first ``heads[l]`` heads and ``neurons[l]`` neurons of layer l, and the first ``hidden`` dimensions.

        Args:
            shape: the encoder's sizes.
            heads: `(L,)` int, 0 to `shape.num_heads`.
            neurons: `(L,)` int, 0 to `shape.intermediate_size`.
            hidden: 1 to `shape.hidden_size`; all of them if None.

        Raises:
            ValueError: counts that the encoder does not have.
        """
        hidden = shape.hidden_size if hidden is None else hidden
        counts = {
            "heads": (np.asarray(heads), shape.num_heads),
            "neurons": (np.asarray(neurons), shape.intermediate_size),
        }
        for name, (kept, most) in counts.items():
            if kept.shape != (shape.num_layers,):
                raise ValueError(f"{name} needs {shape.num_layers} counts, one per layer, got shape {kept.shape}")
            wrong = np.flatnonzero((kept < 0) | (kept > most))
            if wrong.size:
                layer = int(wrong[0])
                raise ValueError(
                    f"{name} keeps {kept[layer]} {name} of layer {layer}, but this encoder has {most} per layer; "
                    "build the mask from supernet.shape"
                )
        if not 1 <= hidden <= shape.hidden_size:
            raise ValueError(f"hidden keeps {hidden} dimensions, but this encoder has {shape.hidden_size}")
        return cls(
            np.arange(shape.num_heads) < counts["heads"][0][:, None],
            np.arange(shape.intermediate_size) < counts["neurons"][0][:, None],
            np.arange(shape.hidden_size) < hidden,
        )

    @property
    def num_layers(self) -> int:
        """Layers of the encoder the mask belongs to, dropped ones included."""
        return len(self.heads)

    @cached_property
    def heads_per_layer(self) -> tuple[int, ...]:
        """Kept heads of each layer, `(L,)`."""
        return tuple(int(n) for n in self.heads.sum(axis=1))

    @cached_property
    def neurons_per_layer(self) -> tuple[int, ...]:
        """Kept neurons of each layer, `(L,)`."""
        return tuple(int(n) for n in self.neurons.sum(axis=1))

    @cached_property
    def hidden_size(self) -> int:
        """Kept dimensions of the residual stream."""
        return int(self.hidden.sum())

    @cached_property
    def is_full(self) -> bool:
        """Nothing is removed."""
        return self.tokens is None and bool(self.heads.all() and self.neurons.all() and self.hidden.all())

    @cached_property
    def depth(self) -> int:
        """Layers up to the last one that keeps anything; what follows is bypassed."""
        used = np.flatnonzero(self.heads.any(axis=1) | self.neurons.any(axis=1))
        return int(used[-1]) + 1 if used.size else 0

    def truncated(self, depth: int) -> SubnetMask:
        """Return the mask with every block after the first ``depth`` layers dropped."""
        keep = np.arange(self.num_layers)[:, None] < depth
        return SubnetMask(self.heads & keep, self.neurons & keep, self.hidden, self.tokens)

    def with_tokens(self, tokens: TokenSet | None) -> SubnetMask:
        """Return the mask of the same encoder with these tokens; all if None."""
        return self if tokens == self.tokens else SubnetMask(self.heads, self.neurons, self.hidden, tokens)

    def encoder_parameters(self, shape: EncoderShape) -> int:
        """Count the parameters that the kept blocks really have, biases and LayerNorms included.

        The formula of Klein et al.'s code charges the output projection in full whatever heads are kept; here it has
        `d * h * head_size` weights, which is what extraction leaves.
        """
        d = self.hidden_size
        norm, into = d * (1 + shape.norm_biases), 1 + shape.gated  # maps into a neuron
        total = 0
        for layer, (heads, neurons) in enumerate(zip(self.heads_per_layer, self.neurons_per_layer, strict=True)):
            width = heads * shape.head_size
            if heads:
                total += 4 * d * width + shape.attention_biases * (3 * width + d)
                total += norm if layer or shape.first_norm else 0
            if neurons:
                total += (into + 1) * d * neurons + norm
                total += shape.ffn_in_biases * into * neurons + shape.ffn_out_biases * d
        return total

    @cached_property
    def key(self) -> str:
        """A hash of the content, 16 hexadecimal digits: cache key, archive key, folder name."""
        digest = hashlib.sha256()
        for array in (self.heads, self.neurons, self.hidden):
            digest.update(repr(array.shape).encode())
            digest.update(np.packbits(array).tobytes())
        if self.tokens is not None:
            digest.update(repr((self.tokens.count, self.tokens.digest)).encode())
        return digest.hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready description; bits are packed into hexadecimal digits, a row per layer."""
        return {
            "num_heads": self.heads.shape[1],
            "intermediate_size": self.neurons.shape[1],
            "hidden_size": len(self.hidden),
            "heads": [np.packbits(row).tobytes().hex() for row in self.heads],
            "neurons": [np.packbits(row).tobytes().hex() for row in self.neurons],
            "hidden": np.packbits(self.hidden).tobytes().hex(),
            **({} if self.tokens is None else {"tokens": [self.tokens.count, self.tokens.digest]}),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> SubnetMask:
        """Rebuild a mask from :meth:`to_json`'s description.

        Raises:
            ValueError, TypeError, KeyError: another description.
        """

        def bits(rows: list[str], size: int) -> BoolArray:
            width = -(-size // 8)
            if (
                odd := next((row for row in rows if len(row) != 2 * width), None)
            ) is not None:  # NumPy would fill up what is missing
                raise ValueError(f"a mask's row of {size} bits has {len(odd) / 2:g} bytes")
            packed = np.frombuffer(bytes.fromhex("".join(rows)), np.uint8)
            return np.unpackbits(packed.reshape(len(rows), width), axis=1, count=size).astype(bool)

        return cls(
            bits(data["heads"], data["num_heads"]),
            bits(data["neurons"], data["intermediate_size"]),
            bits([data["hidden"]], data["hidden_size"])[0],
            TokenSet(*data["tokens"]) if "tokens" in data else None,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SubnetMask) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return (
            f"SubnetMask(heads={list(self.heads_per_layer)}, neurons={list(self.neurons_per_layer)}, "
            f"hidden={self.hidden_size}{'' if self.tokens is None else f', tokens={self.tokens.count}'})"
        )


def _frozen(values: ArrayLike) -> BoolArray:
    array = np.array(values, dtype=bool)
    array.setflags(write=False)
    return array
