"""What each block gives away when it keeps fewer units, the least-squares refit of its outgoing map included.

Source: Kurtic et al., "ZipLM: inference-aware structured pruning of language models", NeurIPS 2023: structures leave
one by one in the order of what the others cannot make up for, a form of the optimal brain surgeon (Hassibi & Stork,
1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..search_space import EncoderShape, SubnetMask
from ..supernet.blocks import Block, BlockWalk, blocks
from ..supernet.refit import DAMPING, WholeSums

_TOGETHER = 32  # units between two updates of the whole inverse; what is chosen does not depend on it
_STEPS = 20  # counts of neurons at which an error is computed


@dataclass(frozen=True)
class BlockCurve:
    """The error of a block by how many of its units it keeps, all other blocks being whole.

    Attributes:
        block: which.
        order: `(n,)`, its units; at each count the first so many are kept.
        counts: `(c,)`, rising, from 0 to n.
        errors: `(c,)`, mean squares of what is missing in the block's output before LayerNorm after the refit, over
            tokens and dimensions. At 0 the output is the block's input plus a bias that is refitted; a mask that keeps
            nothing bypasses the LayerNorm, too, and errs otherwise.
        scale: mean square, over tokens and dimensions, of what the whole block adds to its input, less its mean.
    """

    block: Block
    order: NDArray[np.intp]
    counts: NDArray[np.intp]
    errors: NDArray[np.float64]
    scale: float


@dataclass(frozen=True)
class BlockErrors:
    """The curves of all blocks of an encoder, in the order of the pass: attention, feed-forward, layer after layer."""

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
def block_errors(target: WholeSums, *, damping: float = DAMPING) -> BlockErrors:
    """Order each block's units by what the others cannot make up for, and tell what is left at a grid of counts.

    Every count of heads, and 20 of neurons, finer where few are kept. No labels, no gradients; the units' products are
    summed up in float32 batch by batch, all else is float64.

    Args:
        target: the whole model, the texts, and the tokens that count: those that a refit sees.
        damping: as in a refit.
    """
    whole = target.whole
    walk = BlockWalk.through(whole, target.batches, SubnetMask.full(whole.shape))
    curves = []
    for block in blocks(whole.architecture):
        total = _Products()
        for i in range(len(target.batches)):
            output, units = walk.sum_and_units(block, i)
            total.add(target.fitted(block, i, units))
            walk.advance(block, i, output)
        curves.append(_curve(block, whole.shape, total, walk.outgoing(block).double(), damping))
    return BlockErrors(whole.shape, tuple(curves))


class _Products:
    """Products of units' outputs, summed up over tokens."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None  # (n,)
        self._products: Tensor  # (n, n)

    def add(self, units: Tensor) -> None:
        """Take units' outputs `(R, n)`."""
        total, products = units.sum(0).double(), (units.T @ units).double()
        if self._sum is None:
            self._sum, self._products = total, products
        else:
            self._sum += total
            self._products += products
        self.count += len(units)

    def centred(self) -> Tensor:
        """Return `(n, n)`, the products of what units give less their means: a refitted bias takes up the means."""
        assert self._sum is not None
        return self._products - torch.outer(self._sum, self._sum) / self.count


def _curve(block: Block, shape: EncoderShape, total: _Products, weight: Tensor, damping: float) -> BlockCurve:
    products, terms = total.centred(), total.count * len(weight)
    if block.kind == "attention":
        group, counts = shape.head_size, np.arange(shape.num_heads + 1)
    else:
        group, most = 1, shape.intermediate_size
        counts = np.unique(np.ceil(most * np.linspace(0, 1, _STEPS + 1) ** 2).astype(np.intp))
    order = removal_order(products, weight, group, damping).flip(0)
    errors = [refit_error(products, weight, _columns(order[:count], group), damping) / terms for count in counts]
    return BlockCurve(block, order.cpu().numpy(), counts, np.array(errors), errors[0])


def _columns(units: Tensor, group: int) -> Tensor:
    return (units[:, None] * group + torch.arange(group, device=units.device)).flatten()


def refit_error(products: Tensor, weight: Tensor, kept: Tensor, damping: float = DAMPING) -> float:
    """Return the squared error, summed over tokens and dimensions, that a refit leaves of a block that is cut.

    Args:
        products: `(n, n)` float64, of the units' outputs less their means.
        weight: `(D, n)`, the outgoing map of the whole block.
        kept: `(k,)`, columns.
        damping: of the refit.
    """
    missing = weight.clone()
    missing[:, kept] = 0
    toward = products @ missing.T  # (n, D)
    squares = float((toward * missing.T).sum())
    if not len(kept):
        return squares
    inner, toward = products[kept[:, None], kept], toward[kept]
    normal = inner.clone()
    normal.diagonal().add_(damping * inner.trace() / len(kept))
    factor, failed = torch.linalg.cholesky_ex(normal)
    change = torch.cholesky_solve(toward, factor)
    left = squares - 2 * float((change * toward).sum()) + float((change * (inner @ change)).sum())
    return squares if int(failed) or not left <= squares else max(0.0, left)


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
    normal = products.clone()
    level = float(products.diagonal().mean())
    normal.diagonal().add_(damping * level if level > 0 else 1.0)
    surgeon = _Surgeon(torch.cholesky_inverse(torch.linalg.cholesky(normal)), weight, group)
    left = torch.arange(weight.shape[1] // group, device=weight.device)
    order = []
    while len(left):
        gone = surgeon.remove(min(_TOGETHER, len(left)))
        order.append(left[gone])
        stay = torch.ones(len(left), dtype=torch.bool, device=left.device)
        stay[gone] = False
        left = left[stay]
    return torch.cat(order)


class _Surgeon:
    """The inverse and the outgoing map of what is left.

    The choice of a unit needs but the diagonal blocks of the inverse and the inner products of a unit's columns; these
    are kept up to date after each removal, and the rest after many: passes over the inverse are what costs.
    """

    def __init__(self, inverse: Tensor, weight: Tensor, group: int) -> None:
        self._inverse, self._weight, self._group = inverse, weight, group

    def remove(self, count: int) -> Tensor:
        """Remove so many units, one by one; return their positions among those left before."""
        inverse, weight, g = self._inverse, self._weight, self._group
        n = len(inverse)
        units = n // g
        by_unit = torch.arange(n, device=weight.device).view(units, g)
        blocks_ = inverse[by_unit[:, :, None], by_unit[:, None, :]]  # (units, g, g)
        columns = weight.view(-1, units, g).permute(1, 2, 0)  # (units, g, D)
        inner = columns @ columns.transpose(1, 2)  # (units, g, g)
        gone = torch.zeros(units, dtype=torch.bool, device=weight.device)
        order: list[int] = []
        # What was taken from inverse and weight so far is `low @ high` and `maps @ high`.
        low, high, maps = inverse.new_zeros(n, 0), inverse.new_zeros(0, n), weight.new_zeros(len(weight), 0)
        for _ in range(count):
            scores = inner[:, 0, 0] / blocks_[:, 0, 0] if g == 1 else _trace_of_solution(blocks_, inner)
            unit = int(scores.masked_fill(gone, torch.inf).argmin())
            order.append(unit)
            gone[unit] = True
            at = by_unit[unit]
            rows = inverse[at] - low[at] @ high  # (g, n)
            own = weight[:, at] - maps @ high[:, at]  # (D, g)
            factors = torch.linalg.solve(rows[:, at], rows)  # (g, n)
            toward = own.T @ weight - (own.T @ maps) @ high  # (g, n)
            of, to = factors.view(g, units, g).permute(1, 0, 2), toward.view(g, units, g).permute(1, 0, 2)
            blocks_ = blocks_ - rows.view(g, units, g).permute(1, 2, 0) @ of
            crossed = of.transpose(1, 2) @ to
            inner = inner - crossed - crossed.transpose(1, 2) + of.transpose(1, 2) @ (own.T @ own) @ of
            blocks_[unit] = torch.eye(g, dtype=inverse.dtype, device=inverse.device)  # of what is gone: not singular
            low, high, maps = torch.cat([low, rows.T], 1), torch.cat([high, factors]), torch.cat([maps, own], 1)
        stay = by_unit[~gone].flatten()
        self._inverse = inverse[stay[:, None], stay] - low[stay] @ high[:, stay]
        self._weight = weight[:, stay] - maps @ high[:, stay]
        return torch.tensor(order, device=weight.device)


def _trace_of_solution(blocks_: Tensor, inner: Tensor) -> Tensor:
    return torch.linalg.solve(blocks_, inner).diagonal(dim1=1, dim2=2).sum(1)
