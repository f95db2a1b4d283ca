"""How far blocks' errors, and blocks that are missing, move the model's outputs: what makes blocks comparable."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
import torch
from torch import Tensor, nn

from ..search_space import SubnetMask
from ..supernet import Supernet
from ..supernet.blocks import Block, blocks
from ..supernet.gates import run_whole
from ..supernet.refit import WholeSums
from ..tasks.batches import Batch

Sensitivities = dict[Block, Tensor]


def sensitivities(target: WholeSums, rng: np.random.Generator) -> Sensitivities:
    """Return of each block A `(D, D)` float64, such that `e' A e` is what an error e of a token moves the outputs.

    With J the derivative of a text's outputs by a block's sum before LayerNorm at one token, A is the mean of J'J over
    tokens, estimated as the mean of the outer products of J'v with v of random signs, so that one backward pass of each
    batch does for all blocks. Errors of different tokens are taken for independent. No labels.

    Args:
        target: the whole model, the texts, and the tokens that count.
        rng: of the signs.

    Source: the output factor of Martens & Grosse, K-FAC, ICML 2015, for the sum of squares of the outputs; estimated as
    Hutchinson (1989) does a trace.
    """
    whole = target.whole
    draw = torch.Generator().manual_seed(int(rng.integers(2**62)))
    found: Sensitivities = {}
    counts: dict[Block, int] = {}
    for i, batch in enumerate(target.batches):
        for block, gradient in _gradients(whole, batch, draw).items():
            seen = target.fitted(block, i, gradient)
            product = (seen.T @ seen).double()
            found[block] = found[block] + product if i else product
            counts[block] = counts.get(block, 0) + len(seen)
    return {block: product / counts[block] for block, product in found.items()}


def _gradients(whole: Supernet, batch: Batch, draw: torch.Generator) -> dict[Block, Tensor]:
    """Return the derivatives `(B, T, D)` of the outputs' sum with random signs by each block's sum."""
    nothing: dict[Block, Tensor] = {}
    with torch.enable_grad(), ExitStack() as stack:
        for block in blocks(whole.architecture):
            added = torch.zeros(*batch.input_ids.shape, whole.shape.hidden_size, device=whole.device)
            nothing[block] = added.requires_grad_()
            part = "attention_output" if block.kind == "attention" else "ffn_out"
            module = whole.model.get_submodule(whole.family.layer_path(block.layer, part))

            def plus(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, added: Tensor = added) -> Tensor:
                return output + added.to(output.dtype)

            stack.callback(module.register_forward_hook(plus).remove)
        outputs = run_whole(whole, batch.inputs).float()
        signs = torch.randint(0, 2, outputs.shape, generator=draw).to(outputs) * 2 - 1
        return dict(zip(nothing, torch.autograd.grad((signs * outputs).sum(), list(nothing.values())), strict=True))


@torch.inference_mode()
def moved_outputs(whole: Supernet, batches: Sequence[Batch], masks: Sequence[SubnetMask]) -> list[float]:
    """Return how far each subnetwork's outputs, as it is cut, are from the whole model's.

    Returns:
        Of each mask the squares of the differences, summed over a text's outputs, the mean over texts.
    """

    def outputs(mask: SubnetMask) -> Tensor:
        subnet = whole.subnet(mask, torch.float32)
        return torch.cat([subnet.outputs(**batch.inputs) for batch in batches])

    expected, texts = outputs(SubnetMask.full(whole.shape)), sum(len(batch) for batch in batches)
    return [float((outputs(mask) - expected).square().sum()) / texts for mask in masks]
