"""The outgoing maps of what is left, solved for anew, so that each block gives what the whole model's gives.

Source: Park et al., "Accurate retraining-free pruning for pretrained encoder-based language models" (K-prune), ICLR
2024, whose knowledge reconstruction refits outgoing maps block by block; its target, the whole model's sum less the
pruned network's residual, is that of Kwon et al., NeurIPS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..search_space import SubnetMask
from .blocks import Block, BlockWalk, blocks
from .encoder import embed
from .extraction import extracted_names, extracted_weights
from .supernet import Supernet

if TYPE_CHECKING:
    from ..tasks.batches import Batch

DAMPING = 1e-2  # of the mean square of what the units give
# Tokens that a block is fitted on; of more texts each token counts less than another text does, and memory is bounded.
TOKENS = 16_384


@dataclass(frozen=True)
class BlockError:
    """Mean squared distance of a block's output before LayerNorm from the whole model's, before and after its refit."""

    block: Block
    before: float
    after: float


class WholeSums:
    """What a model's blocks give before LayerNorm, computed once for all models that are refitted to it.

    Held for each block of at most `tokens` tokens, drawn at random, 4 bytes for each of their dimensions.

    Args:
        whole: the model to come close to, or that holds it; its subnetworks' weights are refitted.
        batches: texts without labels; they and their states are held, too.
        rng: draws the tokens.
        tokens: most of them.
        mask: the subnetwork to come close to, of which those are part that are refitted; the whole model if None.
    """

    def __init__(
        self,
        whole: Supernet,
        batches: Sequence[Batch],
        rng: np.random.Generator,
        tokens: int = TOKENS,
        mask: SubnetMask | None = None,
    ) -> None:
        self.whole, self.batches, self.mask = whole, batches, mask or SubnetMask.full(whole.shape)
        real = [batch.real.cpu() for batch in batches]
        share = tokens / max(tokens, sum(int(keep.sum()) for keep in real))
        self._rows = [
            (keep & torch.from_numpy(rng.random(keep.shape) < share)).flatten().nonzero()[:, 0].to(whole.device)
            for keep in real
        ]
        walk = BlockWalk.through(whole, batches, self.mask)
        self._sums: dict[Block, list[Tensor]] = {}
        with torch.inference_mode():
            for block in filter(walk.has, blocks(whole.architecture)):
                found = self._sums[block] = []
                for i in range(len(batches)):
                    output, _ = walk.sum_and_units(block, i)
                    found.append(self.fitted(block, i, output))
                    walk.advance(block, i, output)

    def fitted(self, block: Block, i: int, of_tokens: Tensor) -> Tensor:
        """Return what `(B, T, n)` holds at the tokens that a block is fitted on, `(R, n)`."""
        return of_tokens[:, 0] if block.first_only else of_tokens.flatten(0, 1).index_select(0, self._rows[i])

    def sums(self, block: Block, i: int) -> Tensor:
        """Return a block's sum for batch `i` at those tokens, `(R, D)`."""
        return self._sums[block][i]


@torch.no_grad()
def refit(model: PreTrainedModel, mask: SubnetMask, target: WholeSums, *, damping: float = DAMPING) -> list[BlockError]:
    """Refit the outgoing maps of an extracted model, in place, block by block in the order of the pass.

    With U `(R, n)` what a block's units give in the model as it is by then, and E `(R, D)` the whole model's sum before
    LayerNorm less the model's, its weight gets dW = (U'U + lambda I)^-1 U'E, lambda = damping * tr(U'U) / n, of U and E
    less their means: the bias takes up the rest and is not penalised. A map without a bias is solved for with U and E
    as they are. Where the last layer's tokens but the first are not read, only first tokens count there. No labels, no
    gradients; computed in float32, solved in float64. A block that would not come closer by it, since its numbers are
    not finite, stays as it is.

    Args:
        model: extracted from the whole model, or made by a pruner; of any precision, on its device.
        mask: what it keeps of the whole model.
        target: the whole model's sums.
        damping: above 0.

    Returns:
        The errors of the blocks that the model has.

    Raises:
        ValueError: a mask of another encoder, or not this model's.
    """
    parameters = dict(model.named_parameters())
    names = extracted_names(target.whole, mask)
    walk = _walk(parameters, mask, target)
    errors = []
    for block in blocks(target.whole.architecture):
        if not walk.has(block):
            continue
        errors.append(refit_block(walk, block, mask, target, damping=damping))
        for key in ("weight", "bias") if walk.has_bias(block) else ("weight",):
            name = f"{block.outgoing}.{key}"
            (stored,) = names[name]
            parameters[stored].copy_(walk.weights[name])
            walk.weights[name] = parameters[stored].float()  # as it was rounded
        for i in range(len(target.batches)):
            walk.advance(block, i, walk.sum_and_units(block, i)[0])
    return errors


@torch.no_grad()
def refit_block(
    walk: BlockWalk, block: Block, mask: SubnetMask, target: WholeSums, *, damping: float = DAMPING
) -> BlockError:
    """Refit the outgoing map of the block that a walk has come to, as :func:`refit` does, in the walk.

    Args:
        walk: through what is left; it has the block.
        block: the next one.
        mask: its hidden dimensions are those of the walk.
        target: the whole model's sums.
        damping: above 0.
    """
    columns = torch.tensor(mask.hidden, device=target.whole.device)
    moments = _Moments(centred=walk.has_bias(block))
    for i in range(len(target.batches)):
        reached, units = walk.sum_and_units(block, i)
        missing = target.sums(block, i)[:, columns] - target.fitted(block, i, reached)
        moments.add(target.fitted(block, i, units), missing)
    weight, bias, error = moments.solve(damping)
    changes = {"weight": weight} | ({"bias": bias} if walk.has_bias(block) else {})
    for key, change in changes.items():
        name = f"{block.outgoing}.{key}"
        walk.weights[name] = walk.weights[name] + change.to(walk.weights[name])
    return BlockError(block, moments.error, error)


def _walk(parameters: Mapping[str, Tensor], mask: SubnetMask, target: WholeSums) -> BlockWalk:
    architecture, whole = target.whole.architecture, target.whole
    try:
        weights = extracted_weights(whole, mask, parameters)
    except KeyError as error:
        raise ValueError(f"the model to refit does not keep what its mask does: {mask}") from error
    sizes = {key: piece.take(whole.parameters).shape for key, piece in whole.pieces(mask).items()}
    embedded = [embed(architecture, parameters, batch.input_ids, batch.token_type_ids) for batch in target.batches]
    if any(weights[key].shape != size for key, size in sizes.items()):
        raise ValueError(f"the model to refit does not keep what its mask does: {mask}")
    return BlockWalk(architecture, weights, embedded, [batch.attention_mask for batch in target.batches])


class _Moments:
    """The normal equations of a block, summed up over tokens in float64.

    Args:
        centred: a bias takes up the means; else there is none to do so, and the weights must.
    """

    def __init__(self, *, centred: bool) -> None:
        self._centred = centred
        self._count = 0
        self._units: Tensor | None = None  # (n,), sum
        self._missing: Tensor  # (D,), sum
        self._products: Tensor  # (n, n)
        self._toward: Tensor  # (n, D)
        self._squares = 0.0

    def add(self, units: Tensor, missing: Tensor) -> None:
        """Take units' outputs `(R, n)` and what is missing to the target, `(R, D)`."""
        parts = units.sum(0), missing.sum(0), units.T @ units, units.T @ missing
        if self._units is None:
            self._units, self._missing, self._products, self._toward = (part.double() for part in parts)
        else:
            for mine, part in zip((self._units, self._missing, self._products, self._toward), parts, strict=True):
                mine += part  # widened as it is added: a copy costs more than the product
        self._count += len(units)
        self._squares += float(missing.double().square().sum())

    @property
    def error(self) -> float:
        """Mean square of what is missing, over tokens and dimensions."""
        return self._squares / max(1, self._count * len(self._missing))

    def solve(self, damping: float) -> tuple[Tensor, Tensor, float]:
        """Return the changes of weight `(D, n)` and bias `(D,)`, and the error that they leave."""
        assert self._units is not None
        units, missing = self._units / self._count, self._missing / self._count
        if not self._centred:
            units, missing = torch.zeros_like(units), torch.zeros_like(missing)
        products = self._products - self._count * torch.outer(units, units)
        toward = self._toward - self._count * torch.outer(units, missing)
        normal = products.clone()
        normal.diagonal().add_(damping * products.trace() / len(units))
        factor, failed = torch.linalg.cholesky_ex(normal)
        change = torch.cholesky_solve(toward, factor)
        centred = self._squares - self._count * float(missing.square().sum())
        left = centred - 2 * float((change * toward).sum()) + float((change * (products @ change)).sum())
        if int(failed) or not left <= self._squares:  # a NaN must not pass
            return toward.new_zeros(toward.T.shape), missing.new_zeros(missing.shape), self.error
        return change.T, missing - change.T @ units, left / (self._count * len(missing))
