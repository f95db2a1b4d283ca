"""Products of what a block's units give: all that a refit of its outgoing map needs to know of the texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .blocks import Block, BlockWalk, blocks
from .refit import WholeSums


@dataclass(frozen=True)
class UnitProducts:
    """Means over tokens of what `n` columns of units give.

    Attributes:
        means: `(n,)`.
        products: `(n, n)`, of the outputs less their means, which a refitted bias takes up.
    """

    means: Tensor
    products: Tensor

    def ordered(self, columns: Tensor) -> UnitProducts:
        """Return those of the same units in another order; `columns` are their positions in this one."""
        return UnitProducts(self.means[columns], self.products[columns[:, None], columns])


class _Sums:
    """Sums over tokens, in float64."""

    def __init__(self) -> None:
        self._count = 0
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
        self._count += len(units)

    def means(self) -> UnitProducts:
        """Return what :class:`UnitProducts` holds."""
        assert self._sum is not None
        means = self._sum / self._count
        return UnitProducts(means, self._products / self._count - torch.outer(means, means))


@torch.inference_mode()
def unit_products(target: WholeSums) -> Iterator[tuple[Block, UnitProducts, Tensor]]:
    """Walk once through a model, or the subnetwork that is come close to, and look at each block that it has.

    Args:
        target: the model, the texts, and the tokens that count: those that a refit sees.

    Yields:
        Block, products of its units in float64 (summed up in float32 batch by batch), and its outgoing map `(D, n)`.
    """
    walk = BlockWalk.through(target.whole, target.batches, target.mask)
    for block in filter(walk.has, blocks(target.whole.architecture)):
        sums = _Sums()
        for i in range(len(target.batches)):
            output, units = walk.sum_and_units(block, i)
            sums.add(target.fitted(block, i, units))
            walk.advance(block, i, output)
        yield block, sums.means(), walk.outgoing(block)
