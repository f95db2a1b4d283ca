"""How attention learns where tokens are, where that is not in the embeddings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ...errors import InputError

Given = ParamSpec("Given")
Found = TypeVar("Found")

# Kinds of rotary positions whose frequencies do not depend on the text. Of a `dynamic` one they do beyond
# max_position_embeddings alone, to which texts are cut.
_FIXED_ROTARY = ("linear", "dynamic", "yarn", "llama3", "proportional")


@dataclass(frozen=True)
class Rotary:
    """Rotary positions: pairs of a head's dimensions, k and k + d / 2, are turned by position times frequency.

    Attributes:
        frequencies: `(d / 2,)`, radians a token.
        scaling: of what is turned.

    Source: Su et al., "RoFormer", 2021, section 3.2; the pairs as transformers lays them.
    """

    frequencies: tuple[float, ...]
    scaling: float = 1.0


@dataclass(frozen=True)
class Disentangled:
    """Embeddings of distances, of which the layers' own projections make queries and keys.

    Attributes:
        span: K; there are embeddings of 2 K distances, from -K to K - 1 tokens or ranges of tokens.
        furthest: the distance that the last range ends at; None if each distance has an embedding of its own.
        to_position: a query meets the distances' keys.
        to_content: a key meets the distances' queries.

    Source: He et al., DeBERTa, ICLR 2021, section 3.1; the ranges are those of DeBERTa's version 2.
    """

    span: int
    furthest: int | None
    to_position: bool
    to_content: bool

    @property
    def terms(self) -> int:
        """Of how many products a score is the sum."""
        return 1 + self.to_position + self.to_content


@dataclass(frozen=True)
class LayerAttention:
    """What a layer's attention knows of positions.

    Attributes:
        rotary: how queries and keys are turned; None if they are not.
        window: a token sees those at most so many tokens away; None if it sees all.
        disentangled: embeddings of distances that it meets; None if there are none.
    """

    rotary: Rotary | None = None
    window: int | None = None
    disentangled: Disentangled | None = None


def plain_attention(config: PreTrainedConfig) -> tuple[LayerAttention, ...]:
    """Return what layers know that are told of positions by the embeddings, or by a table of biases."""
    return (LayerAttention(),) * int(config.num_hidden_layers)


def rotary_attention(config: PreTrainedConfig) -> tuple[LayerAttention, ...]:
    """Return what layers know that all have the same rotary positions.

    Raises:
        InputError: positions of a kind that is not supported.
    """
    return (LayerAttention(rotary(config, config.rope_parameters)),) * int(config.num_hidden_layers)


def alternating_attention(config: PreTrainedConfig) -> tuple[LayerAttention, ...]:
    """Return what layers know some of which see a window only, and have rotary positions of their own kind.

    Raises:
        InputError: positions, or layers, of a kind that is not supported.

    Source: Warner et al., "Smarter, better, faster, longer" (ModernBERT), 2024, section 2.1.
    """
    windows = {"full_attention": None, "sliding_attention": int(config.sliding_window)}
    unknown = sorted(set(config.layer_types) - set(windows))
    if unknown:
        raise InputError(
            f"the configuration's layer_types have {unknown[0]!r}, which is not supported; expected "
            f"{' and '.join(windows)}"
        )
    kinds = {
        name: LayerAttention(rotary(config, config.rope_parameters[name], name), windows[name])
        for name in set(config.layer_types)
    }
    return tuple(kinds[name] for name in config.layer_types)


def disentangled_attention(config: PreTrainedConfig) -> tuple[LayerAttention, ...]:
    """Return what layers know that meet embeddings of distances, through the maps of their queries and keys.

    Raises:
        InputError: maps of their own for these embeddings, or none at all.
    """
    if not getattr(config, "relative_attention", False) or not getattr(config, "share_att_key", False):
        raise InputError(
            "the configuration has no relative_attention with share_att_key, but only those DeBERTas are supported "
            "that have both, as all of version 3 do; give another model"
        )
    furthest, buckets = int(getattr(config, "max_relative_positions", -1)), int(getattr(config, "position_buckets", -1))
    furthest = furthest if furthest >= 1 else int(config.max_position_embeddings)
    kinds = config.pos_att_type or ()
    span, last = (buckets, furthest) if buckets > 0 else (furthest, None)
    known = Disentangled(span, last, "c2p" in kinds, "p2c" in kinds)
    return (LayerAttention(disentangled=known),) * int(config.num_hidden_layers)


def rotary(config: PreTrainedConfig, settings: dict[str, Any], layer_type: str | None = None) -> Rotary:
    """Return the rotary positions that a configuration describes.

    Args:
        config: a model's.
        settings: of these positions.
        layer_type: whose they are, where a model has several.

    Raises:
        InputError: a kind that is not supported.
    """
    kind = settings.get("rope_type", "default")
    if kind == "default":
        size = int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
        exponents = torch.arange(0, size, 2, dtype=torch.float) / size
        return Rotary(tuple((1.0 / (settings["rope_theta"] ** exponents)).tolist()))
    if kind not in _FIXED_ROTARY or kind not in ROPE_INIT_FUNCTIONS:
        raise InputError(
            f"the configuration's rotary positions are of the kind {kind!r}, which is not supported; supported: "
            f"default, {', '.join(_FIXED_ROTARY)}"
        )
    of_layers = {} if layer_type is None else {"layer_type": layer_type}
    frequencies, scaling = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), **of_layers)
    return Rotary(tuple(frequencies.tolist()), float(scaling))


def _remembered(made: Callable[Given, Found]) -> Callable[Given, Found]:
    """Keep the tensors of the last calls; they may be part of a training though they were made outside of one."""

    @lru_cache(maxsize=64)
    @wraps(made)
    def found(*given: Given.args, **named: Given.kwargs) -> Found:
        with torch.inference_mode(False):
            return made(*given, **named)

    return cast(Callable[Given, Found], found)


@_remembered
def turns(rotary: Rotary, length: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return cosines and sines of what the tokens of a text are turned by, `(T, d)` each."""
    frequencies = torch.tensor(rotary.frequencies, dtype=torch.float32, device=device)
    angles = torch.arange(length, dtype=torch.float32, device=device)[:, None] * frequencies
    angles = torch.cat([angles, angles], dim=1)
    return (angles.cos() * rotary.scaling).to(dtype), (angles.sin() * rotary.scaling).to(dtype)


def turned(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn queries or keys `(B, H, T, d)`."""
    half = states.shape[-1] // 2
    across = torch.cat([-states[..., half:], states[..., :half]], dim=-1)
    return states * cosines + across * sines


@_remembered
def distances(length: int, device: torch.device) -> Tensor:
    """Return by how many tokens a key, the column, is behind a query, the row: `(T, T)` int64."""
    place = torch.arange(length, device=device)
    return place[None, :] - place[:, None]


BUCKETS = 32
_FURTHEST = 128


def bucket(distance: Tensor) -> Tensor:
    """Return the rows of a table of 32 biases for distances in tokens, negative where a key is before its query.

    Half of the rows are for each direction; of these, one half is for a distance each, the other for ranges that grow
    up to 128 tokens.

    Source: Raffel et al., JMLR 2020, section 2.1, as MPNet (Song et al., NeurIPS 2020) has them.
    """
    one_way = BUCKETS // 2
    exact = one_way // 2
    apart = distance.abs()
    growth = torch.log(apart.clamp(min=1).float() / exact) / math.log(_FURTHEST / exact) * (one_way - exact)
    ranged = (exact + growth.to(torch.long)).clamp(max=one_way - 1)
    return torch.where(apart < exact, apart, ranged) + (distance > 0).to(torch.long) * one_way


@_remembered
def embedded_distance(known: Disentangled, length: int, device: torch.device) -> Tensor:
    """Return which embedding a query, the row, and a key, the column, meet: `(T, T)` int64, 0 to 2 K - 1."""
    return (_ranged(-distances(length, device), known) + known.span).clamp(0, 2 * known.span - 1)


def _ranged(distance: Tensor, known: Disentangled) -> Tensor:
    """Return distances as they are up to K / 2, and beyond it numbers of ranges whose logarithms are equally wide."""
    if known.furthest is None:
        return distance
    middle = known.span // 2
    apart = torch.where(distance.abs() < middle, middle - 1, distance.abs())
    # In float32, in this order: at a range's end another rounding is another range.
    whole = torch.log(torch.tensor((known.furthest - 1) / middle))
    steps = torch.ceil(torch.log(apart / middle) / whole * (middle - 1)) + middle
    return torch.where(apart <= middle, distance, (steps * torch.sign(distance)).to(torch.long))
