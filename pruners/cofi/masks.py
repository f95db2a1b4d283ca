"""Masks at five granularities: attention blocks, feed-forward blocks, heads, neurons, residual dimensions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...search_space import EncoderShape, SubnetMask
from ...search_space.mask import BoolArray
from .hard_concrete import LARGEST, open_probability, sample, soft_value, survivors

_BORN_OPEN, _BORN_NEURONS, _SPREAD = 10.0, 0.0, 0.01  # normal distributions that the authors' logits come from
_TOLERANCE = 0.01  # of a density
_WIDEST = 20.0  # a shift that opens or closes whatever it is added to


@dataclass(frozen=True)
class MaskValues:
    """A number for each unit: logits, probabilities, or what the unit's output is multiplied by.

    What governs a parameter is multiplied: a head is left where its own value and its block's are not 0.

    Attributes:
        attention: `(L,)`, whole attention blocks.
        ffn: `(L,)`, whole feed-forward blocks.
        heads: `(L, H)`.
        neurons: `(L, F)`.
        hidden: `(D,)`, dimensions of the residual stream, the same in all layers.

    Source: Xia et al., "Structured pruning learns compact and accurate models", ACL 2022, section 3.1.
    """

    attention: Tensor
    ffn: Tensor
    heads: Tensor
    neurons: Tensor
    hidden: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.attention, self.ffn, self.heads, self.neurons, self.hidden))

    @classmethod
    def full(cls, shape: EncoderShape, value: float) -> MaskValues:
        """Return the same number for all units of an encoder."""
        layers = shape.num_layers
        sizes = ((layers,), (layers,), (layers, shape.num_heads), (layers, shape.intermediate_size))
        return cls(*(torch.full(size, value) for size in (*sizes, (shape.hidden_size,))))

    def map(self, function: Callable[[Tensor], Tensor]) -> MaskValues:
        """Return what a function makes of each granularity."""
        return MaskValues(*map(function, self))

    def kept(self) -> SubnetMask:
        """Return what is not zero. A block is dropped where its value is 0, or where none of its units is left."""
        attention, ffn, heads, neurons, hidden = (part.detach().cpu().numpy() > 0 for part in self)
        return SubnetMask(heads & attention[:, None], neurons & ffn[:, None], hidden)


def new_logits(shape: EncoderShape, generator: torch.Generator, device: torch.device) -> MaskValues:
    """Return logits to begin with, trainable: all but neurons as open as they can be, as the authors' are.

    Args:
        shape: the encoder's sizes.
        generator: on the CPU.
        device: where they are to be.
    """
    logits = MaskValues.full(shape, _BORN_OPEN)
    logits.neurons.fill_(_BORN_NEURONS)
    logits = logits.map(lambda part: (part + torch.randn(part.shape, generator=generator) * _SPREAD).to(device))
    clamp(logits)
    return logits.map(lambda part: part.requires_grad_())


@torch.no_grad()
def clamp(logits: MaskValues) -> None:
    """Bring logits back, in place, to where they still have a gradient."""
    for part in logits:
        part.clamp_(-LARGEST, LARGEST)


def sampled(logits: MaskValues, generator: torch.Generator) -> MaskValues:
    """Draw masks; at least one residual dimension survives."""
    drawn = logits.map(lambda part: sample(part, generator))
    if bool((drawn.hidden > 0).any()):
        return drawn
    saved = torch.zeros_like(drawn.hidden)
    saved[logits.hidden.argmax()] = 1.0
    return MaskValues(drawn.attention, drawn.ffn, drawn.heads, drawn.neurons, saved)


def final_values(logits: MaskValues, shape: EncoderShape, density: float) -> MaskValues:
    """Return the masks that stay: as many units as are expected to be open, and exactly the density asked for.

    Heads and neurons of a layer and residual dimensions are groups of which the expected number survives, blocks those
    that are likelier open than not. Expected numbers multiply to the right size only on average, and a size is a whole
    number of units; so one number is added to all logits of units, found such that the subnetwork is as large as it can
    be within the density, and neurons, the smallest units, fill what is left. A unit keeps the soft value of its own
    logit. Where the blocks that are open would be too small even with all their units, further ones open, the likeliest
    first.

    Args:
        logits: as trained.
        shape: the encoder's sizes.
        density: largest share of the encoder's parameters.
    """
    plain = logits.map(lambda part: part.detach().double().cpu())
    limit = density * shape.encoder_parameters
    blocks = torch.cat([plain.attention, plain.ffn])
    open_blocks = survivors(blocks[:, None])[:, 0].numpy()

    def size(found: _Found) -> int:
        return found.mask(open_blocks).encoder_parameters(shape)

    for block in blocks.argsort(descending=True, stable=True).tolist():
        if size(_shifted(plain, _WIDEST)) >= limit - _TOLERANCE * shape.encoder_parameters:
            break
        open_blocks[block] = True
    found = _largest(plain, size, limit)
    attention, ffn = np.split(open_blocks, 2)
    kept = [torch.from_numpy(part) for part in (attention, ffn, found.heads, found.neurons, found.hidden)]
    values = (soft_value(part) * open_ for part, open_ in zip(plain, kept, strict=True))
    device = logits.hidden.device
    return MaskValues(*(part.float().to(device) for part in values))


@dataclass(frozen=True)
class _Found:
    """Units that are open, whatever their blocks are."""

    heads: BoolArray
    neurons: BoolArray
    hidden: BoolArray

    def mask(self, blocks: BoolArray) -> SubnetMask:
        attention, ffn = np.split(blocks, 2)
        return SubnetMask(self.heads & attention[:, None], self.neurons & ffn[:, None], self.hidden)


_KINDS = ("hidden", "heads", "neurons")


def _shifted(logits: MaskValues, shift: float, kinds: tuple[str, ...] = _KINDS, base: _Found | None = None) -> _Found:
    """Return what survives of logits to which a number is added; of other kinds what `base` has."""
    parts = {
        kind: survivors(getattr(logits, kind) + shift).numpy() if kind in kinds else getattr(base, kind)
        for kind in _KINDS
    }
    parts["hidden"][int(logits.hidden.argmax())] = True
    return _Found(**parts)


def _largest(logits: MaskValues, size: Callable[[_Found], int], limit: float) -> _Found:
    """Return the largest units' choice within a limit.

    All kinds by one shift; of its next step, which may be several units at once, what still fits; then, as heads and
    residual dimensions are large, neurons by a further shift of theirs.
    """
    best, beyond = _bisected(logits, size, limit, _KINDS, None)
    further = [
        (float(getattr(logits, kind)[place]), kind, place)
        for kind in _KINDS
        for place in map(tuple, np.argwhere(getattr(beyond, kind) & ~getattr(best, kind)))
    ]
    for _, kind, place in sorted(further, key=lambda one: -one[0]):
        more = replace(best, **{kind: getattr(best, kind).copy()})
        getattr(more, kind)[place] = True
        best = more if size(more) <= limit else best
    return _bisected(logits, size, limit, ("neurons",), best)[0]


def _bisected(
    logits: MaskValues, size: Callable[[_Found], int], limit: float, kinds: tuple[str, ...], base: _Found | None
) -> tuple[_Found, _Found]:
    """Return what the largest shift within a limit leaves, and what the next one would."""
    low, high = -_WIDEST, _WIDEST
    if size(most := _shifted(logits, high, kinds, base)) <= limit:
        return most, most
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if size(_shifted(logits, middle, kinds, base)) <= limit else (low, middle)
    return _shifted(logits, low, kinds, base), _shifted(logits, high, kinds, base)


def open_probabilities(logits: MaskValues) -> MaskValues:
    """Return P(z > 0) of every unit."""
    return logits.map(open_probability)
