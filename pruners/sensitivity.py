"""How far blocks' errors, and blocks that are missing, move the model's outputs: what makes blocks comparable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.blocks import Block, blocks
from ..supernet.extraction import extract, kept_layers
from ..supernet.gates import run_model
from ..supernet.refit import WholeSums
from ..tasks.batches import Batch

Sensitivities = dict[Block, Tensor]


def sensitivities(target: WholeSums, rng: np.random.Generator) -> Sensitivities:
    """Return of each block A `(D, D)` float64, such that `e' A e` is what an error e of a token moves the outputs.

    With J the derivative of a text's outputs by a block's sum before LayerNorm at one token, A is the mean of J'J over
    tokens, estimated as the mean of the outer products of J'v with v of random signs, so that one backward pass of each
    batch does for all blocks. Errors of different tokens are taken for independent. No labels.

    Args:
        target: the model, or a subnetwork of it, the texts, and the tokens that count.
        rng: of the signs.

    Source: the output factor of Martens & Grosse, K-FAC, ICML 2015, for the sum of squares of the outputs; estimated as
    Hutchinson (1989) does a trace.
    """
    whole, mask = target.whole, target.mask
    model = whole.model if mask.is_full else extract(whole.model, mask)
    draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
    found: Sensitivities = {}
    counts: dict[Block, int] = {}
    for i, batch in enumerate(target.batches):
        for block, gradient in _gradients(whole, model, mask, batch, draw).items():
            seen = target.fitted(block, i, gradient)
            product = (seen.T @ seen).double()
            found[block] = found[block] + product if i else product
            counts[block] = counts.get(block, 0) + len(seen)
    return {block: product / counts[block] for block, product in found.items()}


def _gradients(
    whole: Supernet, model: PreTrainedModel, mask: SubnetMask, batch: Batch, draw: torch.Generator
) -> dict[Block, Tensor]:
    """Return the derivatives `(B, T, D)` of the outputs' sum with random signs by each sum of a model's blocks.

    The model is the whole one, or extracted from it with that mask.
    """
    layers = kept_layers(mask)
    nothing: dict[Block, Tensor] = {}
    with torch.enable_grad(), ExitStack() as stack:
        for block in blocks(whole.architecture):
            if not (mask.heads if block.kind == "attention" else mask.neurons)[block.layer].any():
                continue
            added = torch.zeros(*batch.input_ids.shape, whole.shape.hidden_size, device=whole.device)
            nothing[block] = added.requires_grad_()
            part = "attention_output" if block.kind == "attention" else "ffn_out"
            module = model.get_submodule(whole.family.layer_path(layers.index(block.layer), part))

            def plus(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, added: Tensor = added) -> Tensor:
                return output + added.to(output.dtype)

            stack.callback(module.register_forward_hook(plus).remove)
        outputs = run_model(model, batch.inputs).float()
        signs = torch.randint(0, 2, outputs.shape, generator=draw).to(outputs) * 2 - 1
        return dict(zip(nothing, torch.autograd.grad((signs * outputs).sum(), list(nothing.values())), strict=True))


@torch.inference_mode()
def moved_outputs(target: WholeSums, texts: int, masks: Sequence[SubnetMask]) -> list[float]:
    """Return how far each subnetwork's outputs, as it is cut, are from those of the model that it is cut from.

    Args:
        target: that model, and its texts.
        texts: at least so many of them are looked at.
        masks: of the subnetworks.

    Returns:
        Of each mask the squares of the differences, summed over a text's outputs, the mean over texts.
    """
    whole, batches, seen = target.whole, [], 0
    for batch in target.batches:
        if seen < texts:
            batches.append(batch)
            seen += len(batch)

    def outputs(mask: SubnetMask) -> Tensor:
        subnet = whole.subnet(mask, torch.float32)
        return torch.cat([subnet.outputs(**batch.inputs) for batch in batches])

    expected = outputs(target.mask)
    return [float((outputs(mask) - expected).square().sum()) / seen for mask in masks]
