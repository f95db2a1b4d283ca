"""What each block gives away when it keeps fewer units, the least-squares refit of its outgoing map included.

Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023: structures leave
one by one in the order of what the others cannot make up for, a form of the optimal brain surgeon (Hassibi & Stork,
1992).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..search_space import EncoderShape, SubnetMask, UnitScores
from ..supernet import Supernet
from ..supernet.blocks import Block, blocks, outgoing_map
from ..supernet.products import UnitProducts, unit_products
from ..supernet.refit import DAMPING, WholeSums

_TOGETHER = 32  # units between two updates of the whole inverse; what is chosen does not depend on it
_FINE = 256  # from so many units on they leave one by one; of more, one for each so many, which is as good and faster
_STEPS = 20  # counts of neurons at which an error is computed


@dataclass(frozen=True)
class BlockCurve:
    """The error of a block by how many of its units it keeps, all other blocks being whole.

    Attributes:
        block: which.
        order: `(n,)`, its units, by their numbers in the whole model; at each count the first so many are kept.
        counts: `(c,)`, rising, from 0 to n.
        errors: `(c,)`, of a token: the mean square, over dimensions, of what is missing in the block's output before
            LayerNorm after the refit; or `e' A e` of what is missing, where a sensitivity A was given. At 0 the output
            is the block's input plus a bias that is refitted; a mask that keeps nothing bypasses the LayerNorm, too,
            and errs otherwise.
        tokens: of a text, in the mean, at which the output is read.
    """

    block: Block
    order: NDArray[np.intp]
    counts: NDArray[np.intp]
    errors: NDArray[np.float64]
    tokens: float


@dataclass(frozen=True)
class BlockErrors:
    """The curves of all blocks of an encoder, in the order of the pass: attention, feed-forward, layer after layer.

    A block that the network does not have has nothing but the count 0.
    """

    shape: EncoderShape
    curves: tuple[BlockCurve, ...]

    def mask(self, counts: NDArray[np.integer]) -> SubnetMask:
        """Return the mask whose blocks keep the first units of their orders.

        Args:
            counts: `(2 L,)`, of each curve.
        """
        shape = self.shape
        heads = np.zeros((shape.num_layers, shape.num_heads), bool)
        neurons = np.zeros((shape.num_layers, shape.intermediate_size), bool)
        for curve, count in zip(self.curves, counts, strict=True):
            of = heads if curve.block.kind == "attention" else neurons
            of[curve.block.layer, curve.order[:count]] = True
        return SubnetMask(heads, neurons, np.ones(shape.hidden_size, bool))


@torch.inference_mode()
def block_errors(
    target: WholeSums, sensitivity: Mapping[Block, Tensor] | None = None, *, damping: float = DAMPING
) -> BlockErrors:
    """Order each block's units by what the others cannot make up for, and tell what is left at a grid of counts.

    Every count of heads, and 20 of neurons, finer where few are kept. No labels, no gradients; the units' products are
    summed up in float32 batch by batch, all else is float64.

    Args:
        target: the model, or a subnetwork of it, the texts, and the tokens that count: those that a refit sees.
        sensitivity: of each block `(D, D)` float64, what the square of an error is; all dimensions alike if None. It
            changes which units are missed least, never how the others make up for them: a refit solves for each
            dimension by itself.
        damping: as in a refit.
    """
    whole = target.whole
    texts = sum(len(batch) for batch in target.batches)
    curves = {
        block: BlockCurve(block, np.zeros(0, np.intp), np.zeros(1, np.intp), np.zeros(1), 0.0)
        for block in blocks(whole.architecture)
    }
    for block, found, outgoing in unit_products(target):
        weight = _weighed(outgoing, None if sensitivity is None else sensitivity[block])
        tokens = 1.0 if block.first_only else sum(int(batch.real.sum()) for batch in target.batches) / texts
        of = target.mask.heads if block.kind == "attention" else target.mask.neurons
        units = np.flatnonzero(of[block.layer])
        curves[block] = _curve(block, whole.shape.head_size, units, found.products, weight, tokens, damping)
    return BlockErrors(whole.shape, tuple(curves.values()))


def unit_scores(
    supernet: Supernet, products: Mapping[Block, UnitProducts], sensitivity: Mapping[Block, Tensor]
) -> UnitScores:
    """Score the units of a whole model by how late they leave: the first k are what a refit can best do with.

    Args:
        supernet: the model.
        products: of all its blocks.
        sensitivity: as of :func:`block_errors`.
    """
    shape = supernet.shape
    scores = {
        "attention": np.zeros((shape.num_layers, shape.num_heads)),
        "ffn": np.zeros((shape.num_layers, shape.intermediate_size)),
    }
    for block, found in products.items():
        weight = _weighed(outgoing_map(supernet, block)[0], sensitivity[block])
        group = shape.head_size if block.kind == "attention" else 1
        order = removal_order(found.products, weight, group)
        scores[block.kind][block.layer, order.cpu().numpy()] = np.arange(len(order))
    return UnitScores(scores["attention"], scores["ffn"])


def _weighed(outgoing: Tensor, sensitivity: Tensor | None) -> Tensor:
    """Return R times an outgoing map `(D, n)`, in float64, so that the square of an error is what it counts for.

    Args:
        outgoing: the map.
        sensitivity: `R'R`, `(D, D)` float64, positive semidefinite; all dimensions count alike, in the mean, if None.
    """
    weight = outgoing.double()
    if sensitivity is None:
        return weight / len(weight) ** 0.5
    values, vectors = torch.linalg.eigh(sensitivity)
    return (vectors * values.clamp(min=0).sqrt()).T @ weight


def _curve(
    block: Block,
    head_size: int,
    units: NDArray[np.intp],
    products: Tensor,
    weight: Tensor,
    tokens: float,
    damping: float,
) -> BlockCurve:
    """Return a block's curve; `units` are those it has, by their numbers in the whole model."""
    if block.kind == "attention":
        group, counts = head_size, np.arange(len(units) + 1)
    else:
        group, counts = 1, np.unique(np.ceil(len(units) * np.linspace(0, 1, _STEPS + 1) ** 2).astype(np.intp))
    order = removal_order(products, weight, group, damping).flip(0)
    toward = products @ weight.T
    errors = [refit_error(products, weight, toward, _columns(order[:n], group), damping) for n in counts[:-1]]
    return BlockCurve(block, units[order.cpu().numpy()], counts, np.append(errors, 0.0), tokens)


def _columns(units: Tensor, group: int) -> Tensor:
    return (units[:, None] * group + torch.arange(group, device=units.device)).flatten()


def refit_error(products: Tensor, weight: Tensor, toward: Tensor, kept: Tensor, damping: float = DAMPING) -> float:
    """Return a block's error that is left when some units stay and the outgoing map is refitted.

    Args:
        products: `(n, n)` float64, of the units' outputs less their means, a mean over tokens.
        weight: `(D, n)`, the whole block's outgoing map, times R where a dimension's square does not count for itself.
        toward: `(n, D)`, products times the map's transpose.
        kept: `(k,)`, columns.
        damping: of the refit.
    """
    own, inner = weight[:, kept].T, products[kept[:, None], kept]
    missing = toward[kept] - inner @ own  # products of kept units with what the others gave
    squares = float((weight.T * toward).sum() - 2 * (own * toward[kept]).sum() + (own * (inner @ own)).sum())
    if not len(kept):
        return max(0.0, squares)
    penalty = damping * float(inner.trace()) / len(kept)
    inner.diagonal().add_(penalty)
    factor, failed = torch.linalg.cholesky_ex(inner)
    change = torch.cholesky_solve(missing, factor)
    left = squares - float((change * missing).sum()) - penalty * float(change.square().sum())
    return max(0.0, squares if int(failed) or not left <= squares else left)


def removal_order(products: Tensor, weight: Tensor, group: int = 1, damping: float = DAMPING) -> Tensor:
    """Return the units `(n / group,)` in the order in which they leave: each time the one that is missed least.

    With H = U'U + lambda I and W the outgoing map, a unit with columns S is missed by
    `tr W_S (H^-1_SS)^-1 W_S'` after the others have been solved for anew; then W loses
    `W_S (H^-1_SS)^-1 H^-1_S` and H^-1 the rows and columns by block elimination.

    Args:
        products: `(n, n)` float64, U'U of outputs less their means.
        weight: `(D, n)` float64.
        group: neighbouring columns that make a unit: 1, or a head's size.
        damping: lambda over the mean of the diagonal; above 0.

    Source: Kurtic et al., ZipLM, section 3.1.
    """
    surgeon = _Surgeon(_damped_inverse(products, damping), weight, group)
    left = torch.arange(weight.shape[1] // group, device=weight.device)
    order = []
    while len(left):
        several = max(1, len(left) // _FINE)
        gone = surgeon.remove(min(_TOGETHER * several, len(left)), several)
        order.append(left[gone])
        stay = torch.ones(len(left), dtype=torch.bool, device=left.device)
        stay[gone] = False
        left = left[stay]
    return torch.cat(order)


def _damped_inverse(products: Tensor, damping: float) -> Tensor:
    """Return (U'U + lambda I)^-1, with ten times the damping as often as rounding has left nothing to invert."""
    level = float(products.diagonal().mean())
    added = damping * level if level > 0 else 1.0
    while True:
        normal = products.clone()
        normal.diagonal().add_(added)
        factor, failed = torch.linalg.cholesky_ex(normal)
        if not int(failed):
            return torch.cholesky_inverse(factor)
        if not math.isfinite(added):
            raise ValueError("products of units that are no numbers have no inverse")
        added *= 10


class _Surgeon:
    """The inverse and the outgoing map of what is left.

    The choice of a unit needs but the diagonal blocks of the inverse and the inner products of a unit's columns; these
    are kept up to date after each removal, and the rest after many: passes over the inverse are what costs.
    """

    def __init__(self, inverse: Tensor, weight: Tensor, group: int) -> None:
        self._inverse, self._weight, self._group = inverse, weight, group

    def remove(self, count: int, several: int) -> Tensor:
        """Remove so many units, `several` at a time; return their positions among those left before, in order."""
        inverse, weight, g = self._inverse, self._weight, self._group
        n = len(inverse)
        units = n // g
        by_unit = torch.arange(n, device=weight.device).view(units, g)
        own_blocks = inverse[by_unit[:, :, None], by_unit[:, None, :]]  # (units, g, g)
        columns = weight.view(-1, units, g).permute(1, 2, 0)  # (units, g, D)
        inner = columns @ columns.transpose(1, 2)  # (units, g, g)
        gone = torch.zeros(units, dtype=torch.bool, device=weight.device)
        order: list[Tensor] = []
        # What was taken from the inverse and the map so far is `low @ high` and `maps @ high`.
        low, high, maps = inverse.new_zeros(n, 0), inverse.new_zeros(0, n), weight.new_zeros(len(weight), 0)
        for begin in range(0, count, several):
            scores = inner[:, 0, 0] / own_blocks[:, 0, 0] if g == 1 else _trace_of_solution(own_blocks, inner)
            chosen = scores.masked_fill(gone, torch.inf).topk(min(several, count - begin), largest=False).indices
            order.append(chosen)
            gone[chosen] = True
            at = by_unit[chosen].flatten()
            m = len(at)
            rows = inverse[at] - low[at] @ high  # (m, n)
            own = weight[:, at] - maps @ high[:, at]  # (D, m)
            factors = torch.linalg.solve(rows[:, at], rows)  # (m, n)
            toward = own.T @ weight - (own.T @ maps) @ high  # (m, n)
            if g == 1:  # the same as below, without products of 1 by 1
                own_blocks = own_blocks - (rows * factors).sum(0)[:, None, None]
                change = (factors * ((own.T @ own) @ factors - 2 * toward)).sum(0)
                inner = inner + change[:, None, None]
            else:
                of, to = (part.view(m, units, g).permute(1, 0, 2) for part in (factors, toward))
                own_blocks = own_blocks - rows.view(m, units, g).permute(1, 2, 0) @ of
                crossed = of.transpose(1, 2) @ to
                inner = inner - crossed - crossed.transpose(1, 2) + of.transpose(1, 2) @ (own.T @ own) @ of
                own_blocks[chosen] = torch.eye(g, dtype=inverse.dtype, device=inverse.device)  # must not be singular
            low, high, maps = torch.cat([low, rows.T], 1), torch.cat([high, factors]), torch.cat([maps, own], 1)
        stay = by_unit[~gone].flatten()
        self._inverse = inverse[stay[:, None], stay] - low[stay] @ high[:, stay]
        self._weight = weight[:, stay] - maps @ high[:, stay]
        return torch.cat(order)


def _trace_of_solution(own_blocks: Tensor, inner: Tensor) -> Tensor:
    return torch.linalg.solve(own_blocks, inner).diagonal(dim1=1, dim2=2).sum(1)
