"""Factors on heads and neurons of the whole model, and what flows through them: for scores, not for serving.

The places are the inputs of two linear maps: of the attention's output projection, a head after the other, and of the
feed-forward block's second map, a neuron after the other. They are the same in every family, and do not depend on how
attention is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import PreTrainedModel

from .heads import read_outputs
from .supernet import Supernet

# Called with the layer and what flows into a place, `(B, T, H * d)` or `(B, T, F)`.
Watch = Callable[[int, Tensor], None]


@contextmanager
def gated(supernet: Supernet, heads: Tensor | None, neurons: Tensor | None) -> Iterator[None]:
    """Multiply each unit's output while the model runs in this context.

    A factor of 0 is the unit's removal, as long as its block keeps another one.

    Args:
        supernet: its `model` is what to run.
        heads: `(L, H)`, or `(B, L, H)` with factors for each text; None for ones.
        neurons: `(L, F)` or `(B, L, F)`; None for ones.
    """

    def multiplied_heads(layer: int, flow: Tensor) -> Tensor:
        assert heads is not None
        factors = _of_layer(heads, layer).repeat_interleave(supernet.shape.head_size, dim=-1)
        return flow * factors.to(flow.dtype)

    def multiplied_neurons(layer: int, flow: Tensor) -> Tensor:
        assert neurons is not None
        return flow * _of_layer(neurons, layer).to(flow.dtype)

    with (
        _before(supernet, "attention_output", multiplied_heads if heads is not None else None),
        _before(supernet, "ffn_out", multiplied_neurons if neurons is not None else None),
    ):
        yield


@contextmanager
def watched(supernet: Supernet, heads: Watch | None = None, neurons: Watch | None = None) -> Iterator[None]:
    """Show what the heads, `(B, T, H * d)`, and the neurons, `(B, T, F)`, of each layer give while the model runs."""

    def shown(watch: Watch | None) -> Callable[[int, Tensor], Tensor] | None:
        if watch is None:
            return None

        def show(layer: int, flow: Tensor) -> Tensor:
            watch(layer, flow)
            return flow

        return show

    with _before(supernet, "attention_output", shown(heads)), _before(supernet, "ffn_out", shown(neurons)):
        yield


def _of_layer(factors: Tensor, layer: int) -> Tensor:
    """Return one layer's factors, broadcast over tokens: `(n,)` or `(B, 1, n)`."""
    return factors[layer] if factors.ndim == 2 else factors[:, layer, None]


@contextmanager
def _before(supernet: Supernet, part: str, change: Callable[[int, Tensor], Tensor] | None) -> Iterator[None]:
    """Let `change` replace what flows into a part of every layer; the hooks are gone when the context ends."""
    if change is None:
        yield
        return

    def hook(layer: int) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor, ...]]:
        return lambda module, inputs: (change(layer, inputs[0]), *inputs[1:])

    handles = [
        supernet.model.get_submodule(supernet.family.layer_path(layer, part)).register_forward_pre_hook(hook(layer))
        for layer in range(supernet.shape.num_layers)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def run_whole(supernet: Supernet, inputs: dict[str, Tensor]) -> Tensor:
    """Return the whole model's outputs `(R, C)`, all tokens computed, dropout off whatever its mode.

    Args:
        supernet: the model.
        inputs: keyword arguments of the model, such as `Batch.inputs`.
    """
    return run_model(supernet.model, inputs)


def run_model(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """Return a model's outputs as :func:`run_whole` does, be it extracted."""
    training = model.training
    model.eval()
    try:
        return read_outputs(model(**inputs), inputs.get("attention_mask"))
    finally:
        model.train(training)
