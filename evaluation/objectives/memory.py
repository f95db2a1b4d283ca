"""Memory that a process needs which serves an extracted subnetwork."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...search_space import SubnetMask
from ..latency.target import INT8, ONNXRUNTIME, TORCH
from .disk import MB
from .objective import Objective
from .parameters import parameters

if TYPE_CHECKING:
    from ...supernet import Supernet
    from ..latency.target import LatencyTarget

# A Python process that has imported torch and transformers and run a model once, before weights and activations: as
# measured with torch 2.13 on Linux. `pick` measures the real one (`evaluation.serving`).
BASE_MB = 385.0
ONNXRUNTIME_MB = 70.0  # one that has imported onnxruntime 1.31 and numpy only
_BYTES = {"float32": 4, "bfloat16": 2}
# How many times the largest layer's activations there are: allocators and matrix libraries keep about as much again,
# and integer products are summed up in 32 bits beside their inputs.
_COPIES = {TORCH: 2.0, ONNXRUNTIME: 1.8, INT8: 3.2}


def memory(supernet: Supernet, target: LatencyTarget) -> Objective:
    """Predict the peak resident memory of a process that loads the model and answers batches, in MB of 1e6 bytes.

    A base, the weights, and the larger of two things that are not there at the same time: what loading needs beside
    them, and some copies of the activations of the largest layer. These are, with h heads of size s, u neurons,
    residual width d, B texts of T tokens (the longest of the target's lengths) and e bytes each:
    `e B T (4 h s + 2 u + 4 d)`.

    PyTorch has the weights in the target's precision, and while it loads those of the file as well if they are cast.
    ONNX Runtime has float32 weights, or int8 ones and a packed copy of the encoder's; while it loads, the table of
    words twice. Its base is small, for it needs neither PyTorch nor transformers.
    """
    shape, count = supernet.shape, parameters(supernet)
    stored = {"torch.bfloat16": 2, "torch.float16": 2}.get(str(supernet.model.dtype), 4)
    served = _BYTES[target.precision]
    tokens = target.batch_size * max(target.request_lengths)
    words, embedding_size = supernet.parameters[f"{supernet.family.embeddings.word}.weight"].shape

    def activations(mask: SubnetMask) -> float:
        layers = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
        widest = max(4 * heads * shape.head_size + 2 * neurons for heads, neurons in layers) + 4 * mask.hidden_size
        return _COPIES[target.runtime] * served * tokens * widest

    def in_pytorch(mask: SubnetMask) -> float:
        weights = count.of(mask)
        loading = weights * stored if stored != served else 0
        return BASE_MB + (weights * served + max(loading, activations(mask))) / MB

    def in_onnxruntime(mask: SubnetMask) -> float:
        size = 1 if target.runtime == INT8 else 4
        packed = mask.encoder_parameters(shape) if target.runtime == INT8 else 0
        table = size * words * (embedding_size if supernet.projected else mask.hidden_size)
        return ONNXRUNTIME_MB + (count.of(mask) * size + packed + max(table, activations(mask))) / MB

    return Objective("memory_mb", "MB", in_pytorch if target.runtime == TORCH else in_onnxruntime)
