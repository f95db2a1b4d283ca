"""Memory that a process needs which serves an extracted subnetwork."""

from __future__ import annotations

from ...search_space import SubnetMask
from ...supernet import Supernet
from ..latency import LatencyTarget
from .disk import MB
from .objective import Objective
from .parameters import parameters

# A Python process that has imported torch and transformers and run a model once, before weights and activations: as
# measured with torch 2.13 on Linux. `pick` measures the real one (`evaluation.serving`).
BASE_MB = 385.0
_BYTES = {"float32": 4, "bfloat16": 2}


def memory(supernet: Supernet, target: LatencyTarget) -> Objective:
    """Predict the peak resident memory of a process that loads the model and answers batches, in MB of 1e6 bytes.

    `BASE_MB`, the weights in the target's precision, and the larger of two things that are not there at the same time:
    the file's weights, where loading casts them to another precision, and twice the activations of the largest layer,
    for allocators and matrix libraries keep about as much again. These are, with h heads of size s, u neurons, residual
    width d, B texts of T tokens (the longest of the target's lengths) and e bytes each: `e B T (4 h s + 2 u + 4 d)`.
    """
    shape, count = supernet.shape, parameters(supernet)
    stored = {"torch.bfloat16": 2, "torch.float16": 2}.get(str(supernet.model.dtype), 4)
    served = _BYTES[target.precision]
    tokens = target.batch_size * max(target.request_lengths)

    def predict(mask: SubnetMask) -> float:
        weights = count.of(mask)
        layers = zip(mask.heads_per_layer, mask.neurons_per_layer, strict=True)
        widest = max(4 * heads * shape.head_size + 2 * neurons for heads, neurons in layers) + 4 * mask.hidden_size
        loading = weights * stored if stored != served else 0
        return BASE_MB + (weights * served + max(loading, 2 * served * tokens * widest)) / MB

    return Objective("memory_mb", "MB", predict)
