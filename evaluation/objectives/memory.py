"""Memory that a process needs which serves an extracted subnetwork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...search_space import SubnetMask
from ..latency.runtime import PRECISIONS, RUNTIMES
from .disk import MB
from .objective import Objective
from .parameters import parameters

if TYPE_CHECKING:
    from ...supernet import Supernet
    from ..latency.target import LatencyTarget


def memory(supernet: Supernet, target: LatencyTarget) -> Objective:
    """Predict the peak resident memory of a process that loads the model and answers batches, in MB of 1e6 bytes.

    The runtime's base, the weights, and the larger of two things that are not there at the same time: what loading
    needs beside them, and some copies of the activations of the largest layer. These are, with h heads of size s, u
    neurons, residual width d, B texts of T tokens (the longest of the target's lengths) and e bytes each:
    `e B T (4 h s + 2 u + 4 d)`, or `3 u` where neurons are gated.

    PyTorch has the weights in the target's precision, and while it loads those of the file as well if they are cast.
    Other engines have float32 weights, or int8 ones, some a packed copy of the encoder's; while they load, the table of
    words again. Their bases are small, for they need neither PyTorch nor transformers.
    """
    runtime = RUNTIMES[target.runtime]
    shape, count = supernet.shape, parameters(supernet)
    stored = PRECISIONS.get(str(supernet.model.dtype).removeprefix("torch."), 4)
    served = PRECISIONS[target.precision]
    tokens = target.batch_size * max(target.request_lengths)
    embedding_size = supernet.parameters[f"{supernet.embeddings.word}.weight"].shape[1]

    def activations(mask: SubnetMask) -> float:
        layers = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
        each = (4 * heads * shape.head_size + (2 + shape.gated) * neurons for heads, neurons in layers)
        widest = max(each) + 4 * mask.hidden_size
        return runtime.copies * served * tokens * widest

    def in_pytorch(mask: SubnetMask) -> float:
        weights = count.of(mask)
        loading = weights * stored if stored != served else 0
        return runtime.base_mb + (weights * served + max(loading, activations(mask))) / MB

    def in_an_engine(mask: SubnetMask) -> float:
        size = 1 if runtime.int8 else 4
        packed = mask.encoder_parameters(shape) if runtime.packs else 0
        table = runtime.loading * supernet.words(mask) * (embedding_size if supernet.projected else mask.hidden_size)
        return runtime.base_mb + ((count.of(mask) + packed) * size + max(table, activations(mask))) / MB

    return Objective("memory_mb", "MB", in_an_engine if runtime.engine else in_pytorch)
