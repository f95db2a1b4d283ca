"""The check that a pruned model computes what its units do in the whole one."""

from __future__ import annotations

import numpy as np
import torch

from ..evaluation.model_error import few_inputs
from ..supernet import Supernet
from ..supernet.extraction import check_agreement, kept_layers
from ..supernet.gates import gated, run_whole
from ..supernet.heads import read_outputs
from ..tasks import Task
from . import Pruned


@torch.inference_mode()
def check_pruned(supernet: Supernet, task: Task, pruned: Pruned) -> bool:
    """Check that a pruned model computes what its units do in the whole one, scaled as its own weights say.

    Returns:
        Whether there are scales.

    Raises:
        RuntimeError: it does not: the point must not be reported.
    """
    inputs = few_inputs(supernet, task)
    heads, neurons = _scales(supernet, pruned)
    scaled = bool((heads != pruned.mask.heads).any() or (neurons != pruned.mask.neurons).any())
    if not scaled:
        reference = supernet.subnet(pruned.mask).outputs(**inputs)
    else:
        factors = [torch.from_numpy(part).float().to(supernet.device) for part in (heads, neurons)]
        with gated(supernet, *factors):
            reference = run_whole(supernet, inputs)
    check_agreement(reference, read_outputs(pruned.model(**inputs), inputs["attention_mask"]))
    return scaled


def _scales(supernet: Supernet, pruned: Pruned) -> tuple[np.ndarray, np.ndarray]:
    """Read factors `(L, H)` and `(L, F)` off the maps that units flow into; 0 for removed units."""
    mask, own = pruned.mask, dict(pruned.model.named_parameters())
    heads, neurons = np.zeros(mask.heads.shape), np.zeros(mask.neurons.shape)
    for position, layer in enumerate(kept_layers(mask)):
        for part, kept, scales, width in (
            ("attention_output", mask.heads, heads, supernet.shape.head_size),
            ("ffn_out", mask.neurons, neurons, 1),
        ):
            if not kept[layer].any():
                continue
            before = supernet.parameters[f"{supernet.family.layer_path(layer, part)}.weight"].double().cpu().numpy()
            after = own[f"{supernet.family.layer_path(position, part)}.weight"].double().cpu().numpy()
            units = before.T.reshape(len(kept[layer]), -1)[kept[layer]]  # (kept, width * D)
            scaled = after.T.reshape(len(units), width * after.shape[0])
            norms = (units**2).sum(axis=1)
            scales[layer, kept[layer]] = np.where(
                norms > 0, (units * scaled).sum(axis=1) / np.maximum(norms, 1e-300), 1
            )
    return heads, neurons
