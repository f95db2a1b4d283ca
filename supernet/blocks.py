"""The encoder block by block: what solves for one block's weights, given what the blocks before it are by now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from ..search_space import SubnetMask
from .architecture import Architecture, linear, settled
from .elastic import cut
from .encoder import embed, neuron_outputs, start
from .self_attention import attention_context

if TYPE_CHECKING:
    from ..tasks.batches import Batch
    from .supernet import Supernet


@dataclass(frozen=True)
class Block:
    """A block of the encoder.

    Attributes:
        layer: counted from 0.
        kind: which of the layer's two.
        first_only: only first tokens of what it gives are read.
    """

    layer: int
    kind: Literal["attention", "ffn"]
    first_only: bool

    @property
    def outgoing(self) -> str:
        """The key of the linear map that its units flow into."""
        return f"{self.layer}.attention_output" if self.kind == "attention" else f"{self.layer}.ffn_out"

    @property
    def incoming(self) -> str:
        """The key of the linear map that makes its units."""
        return f"{self.layer}.qkv" if self.kind == "attention" else f"{self.layer}.ffn_in"


def blocks(architecture: Architecture) -> Iterator[Block]:
    """List the blocks of an encoder in the order of the pass."""
    for layer in range(architecture.num_layers):
        first_only = layer == architecture.num_layers - 1 and not architecture.reads_tokens
        yield Block(layer, "attention", first_only)
        yield Block(layer, "ffn", first_only)


def outgoing_map(supernet: Supernet, block: Block) -> tuple[Tensor, Tensor | None]:
    """Return the map that a block's units flow into in the whole model: weight `(D, n)` and bias `(D,)`, if any."""
    part = "attention_output" if block.kind == "attention" else "ffn_out"
    path = supernet.family.layer_path(block.layer, part)
    return supernet.parameters[f"{path}.weight"], supernet.parameters.get(f"{path}.bias")


class BlockWalk:
    """A network, and how far each batch of texts has come in it; all states are held, and computed in float32.

    Args:
        architecture: family and sizes.
        weights: the network's, keyed as `elastic.pieces` does; replaced one by one while it is walked through.
        embedded: of each batch `(B, T, E)`, the embedding tables' sum.
        keeps: of each batch `(B, T)` bool, False for padding, or None.
    """

    def __init__(
        self,
        architecture: Architecture,
        weights: Mapping[str, Tensor],
        embedded: Sequence[Tensor],
        keeps: Sequence[Tensor | None],
    ) -> None:
        self._architecture = architecture
        self.weights = {key: weight.detach().float() for key, weight in weights.items()}
        self._keeps = keeps
        both = zip(embedded, keeps, strict=True)
        self._states = [start(architecture, self.weights, one.float(), keep) for one, keep in both]

    @classmethod
    def through(cls, supernet: Supernet, batches: Sequence[Batch], mask: SubnetMask) -> BlockWalk:
        """Walk through a subnetwork of a supernet."""
        columns = supernet.embedding_columns(mask)
        embedded = [
            embed(supernet.architecture, supernet.parameters, batch.input_ids, batch.token_type_ids)
            for batch in batches
        ]
        return cls(
            supernet.architecture,
            {key: piece.take(supernet.parameters) for key, piece in supernet.pieces(mask).items()},
            [cut(one, None, columns) for one in embedded],
            [batch.attention_mask for batch in batches],
        )

    def has(self, block: Block) -> bool:
        """Tell whether the network has a block; what it lacks passes its input through."""
        return f"{block.outgoing}.weight" in self.weights

    def outgoing(self, block: Block) -> Tensor:
        """Return the weight of the map that a block's units flow into, `(D, n)`."""
        return self.weights[f"{block.outgoing}.weight"]

    def has_bias(self, block: Block) -> bool:
        """Tell whether that map has a bias."""
        return f"{block.outgoing}.bias" in self.weights

    def state(self, i: int) -> Tensor:
        """Return what the next block gets from batch `i`, `(B, T, D)`."""
        return self._states[i]

    def sum_and_units(self, block: Block, i: int) -> tuple[Tensor, Tensor]:
        """Return a block's sum with the residual stream for batch `i`, before a LayerNorm, and what its units give.

        Shapes are `(B, T, D)` and `(B, T, n)`, with T = 1 where attention is read at first tokens only, and after it.
        """
        x = self._states[i]
        if block.kind == "attention":
            units = attention_context(
                self._architecture, self.weights, block.layer, x, self._keeps[i], 0.0, first_only=block.first_only
            )
            assert units is not None
            x = x[:, : units.shape[1]]
        else:
            x = x[:, :1] if block.first_only else x  # attention that is dropped has left all tokens
            units = neuron_outputs(self._architecture, self.weights, block.layer, x)
        return linear(self.weights, block.outgoing, units).add_(x), units

    def advance(self, block: Block, i: int, output: Tensor) -> None:
        """Go past a block with batch `i`, from its sum with the residual stream."""
        self._states[i] = settled(self._architecture, self.weights, f"{block.layer}.{block.kind}_norm", output)
