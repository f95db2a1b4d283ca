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
        means: `(n,)`, which a refitted bias takes up; zeros where the map that units flow into has none.
        products: `(n, n)`, of the outputs less these means.
    """

    means: Tensor
    products: Tensor

    def ordered(self, columns: Tensor) -> UnitProducts:
        """Return those of the same units in another order; `columns` are their positions in this one."""
        return UnitProducts(self.means[columns], self.products[columns[:, None], columns])


class _Sums:
    """Sums over tokens, in float64.

    Args:
        centred: a bias takes up the means. Then the first tokens' means are taken off at once: of units that hardly
            move, as those of a model that has learnt nothing, single precision would leave nothing of the products.
    """

    def __init__(self, *, centred: bool) -> None:
        self._centred, self._count = centred, 0
        self._origin: Tensor | None = None  # (n,)
        self._sum: Tensor  # (n,)
        self._products: Tensor  # (n, n)

    def add(self, units: Tensor) -> None:
        """Take units' outputs `(R, n)`."""
        if self._origin is None:
            self._origin = units.mean(0) if self._centred and len(units) else torch.zeros_like(units[:1].sum(0))
            self._sum = self._origin.double() * 0
            self._products = torch.outer(self._sum, self._sum)
        moved = units - self._origin
        self._sum += moved.sum(0)
        self._products += moved.T @ moved  # widened as it is added: a copy costs more than the product
        self._count += len(units)

    def means(self) -> UnitProducts:
        """Return what :class:`UnitProducts` holds."""
        assert self._origin is not None
        moved = self._sum / self._count
        if not self._centred:
            return UnitProducts(torch.zeros_like(moved), self._products / self._count)
        return UnitProducts(self._origin.double() + moved, self._products / self._count - torch.outer(moved, moved))


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
        sums = _Sums(centred=walk.has_bias(block))
        for i in range(len(target.batches)):
            output, units = walk.sum_and_units(block, i)
            sums.add(target.fitted(block, i, units))
            walk.advance(block, i, output)
        yield block, sums.means(), walk.outgoing(block)
