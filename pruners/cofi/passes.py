"""Passes of teacher and student over one batch: outputs, and the layers' states of all real tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...search_space import SubnetMask
from ...supernet import Supernet
from ...supernet.architecture import Weights
from ...supernet.encoder import NO_DROPOUT, all_states, classify, embed, text_lengths, what_is_read
from ...supernet.families import Dropout
from ...tasks.batches import Batch
from .layers import taught_layers


@dataclass(frozen=True)
class Seen:
    """What a pass gives.

    Attributes:
        outputs: `(R, C)`.
        states: of real tokens, `(N, d)`, behind those layers that layer distillation may look at.
    """

    outputs: Tensor
    states: list[Tensor]


def run(
    supernet: Supernet,
    weights: Weights,
    embedded: Tensor,
    batch: Batch,
    layers: list[int],
    dropout: Dropout = NO_DROPOUT,
) -> Seen:
    """Run a subnetwork on a batch.

    Args:
        supernet: whose it is.
        weights: its slices.
        embedded: `(B, T, E)`, the sum of the embedding tables' rows, columns cut.
        batch: the texts.
        layers: whose states are wanted.
        dropout: rates.
    """
    architecture = supernet.architecture
    states = all_states(architecture, weights, embedded, batch.attention_mask, dropout)
    last, keep = states[-1], batch.attention_mask
    counts = text_lengths(architecture, last, keep)
    outputs = classify(architecture, weights, what_is_read(architecture, last, keep), dropout, counts)
    return Seen(outputs, [batch.flat(states[layer + 1]) for layer in layers])


class Teacher:
    """The fine-tuned model, without dropout and without gradients.

    Args:
        supernet: it; its weights are read once.
        dtype: precision of its passes.
        states: whether layers' states are wanted beside the outputs.
    """

    def __init__(self, supernet: Supernet, dtype: torch.dtype, *, states: bool) -> None:
        self._supernet, self._dtype = supernet, dtype
        self._weights = supernet.subnet(SubnetMask.full(supernet.shape), dtype).weights
        self._layers = list(taught_layers(supernet.shape.num_layers)) if states else []

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Seen:
        """Run it."""
        supernet = self._supernet
        embedded = embed(supernet.architecture, supernet.parameters, batch.input_ids, batch.token_type_ids)
        return run(supernet, self._weights, embedded.to(self._dtype), batch, self._layers)
