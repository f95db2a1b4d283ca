"""Groups of weights: a matrix cut into slabs, and each slab into lines.

Source: Li et al., "Efficient Transformer-based large scale language representations using hardware-friendly block
structured pruning", Findings of EMNLP 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from . import Scheme


@dataclass(frozen=True)
class Slabs:
    """How a weight `(p, q)` is cut: a group is one line inside one slab.

    A *line* is what a group is a part of, and the slabs lie side by side along it: with `row` a line is a row (an
    output) and slabs cut the q columns, with `column` a line is a column (an input) and slabs cut the p rows. Numbers
    of groups are arrays `(lines, slabs)`.

    Attributes:
        scheme: what lines are.
        widths: of the slabs, in their order; together the length of a line.

    Example:
        >>> Slabs("row", (128, 128, 128)).norms(torch.ones(384, 384)).shape
        torch.Size([384, 3])
    """

    scheme: Scheme
    widths: tuple[int, ...]

    def lines_of(self, weight: Tensor) -> Tensor:
        """Return a view of a weight with one line in each row, `(lines, length of a line)`."""
        return weight if self.scheme == "row" else weight.T

    def blocks(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Return views of a weight's slabs, each `(lines, width)`."""
        return self.lines_of(weight).split(self.widths, dim=1)

    def norms(self, weight: Tensor) -> Tensor:
        """Return the Euclidean norms of a weight's groups, `(lines, slabs)`."""
        return torch.stack([torch.linalg.vector_norm(block, dim=1) for block in self.blocks(weight)], dim=1)

    def kept(self, weight: Tensor) -> Tensor:
        """Tell which groups of a weight are not all zero, `(lines, slabs)` bool."""
        return torch.stack([(block != 0).any(dim=1) for block in self.blocks(weight)], dim=1)

    def spread(self, groups: Tensor) -> Tensor:
        """Give every weight its group's value: from `(lines, slabs)` to `(p, q)`."""
        parts = [groups[:, i : i + 1].expand(-1, width) for i, width in enumerate(self.widths)]
        return self.lines_of(torch.cat(parts, dim=1))

    def pack(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights of the kept groups, one after another, slab by slab, and which groups those are.

        Returns:
            `(kept weights,)` and `(lines, slabs)` bool.
        """
        kept = self.kept(weight)
        values = [block[kept[:, i]].flatten() for i, block in enumerate(self.blocks(weight))]
        return torch.cat(values), kept

    def unpack(self, values: Tensor, kept: Tensor) -> Tensor:
        """Return the weight `(p, q)` that :meth:`pack` took apart.

        Raises:
            ValueError: another number of values than the kept groups have.
        """
        counts = [int(n) * width for n, width in zip(kept.sum(dim=0), self.widths, strict=True)]
        if values.numel() != sum(counts):
            raise ValueError(f"the kept groups have {sum(counts)} weights, got {values.numel()}")
        lines = values.new_zeros(len(kept), sum(self.widths))
        for i, (block, part) in enumerate(zip(lines.split(self.widths, dim=1), values.split(counts), strict=True)):
            block[kept[:, i]] = part.view(-1, self.widths[i])
        return self.lines_of(lines).contiguous()
