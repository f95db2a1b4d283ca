"""A model whose subnetworks have their outgoing maps solved for, from products that are computed once.

Source: the refit of Park et al. (K-prune), ICLR 2024, see `refit`; here each block is refitted to the whole model's at
the whole model's inputs, as in Frantar & Alistarh, "Optimal brain compression", NeurIPS 2022, section 3. So a
block's solution depends on what that block keeps and on nothing else, and subnetworks share them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import InputError
from ..search_space import SubnetMask
from .blocks import Block, blocks, outgoing_map
from .elastic import cut, hidden_index
from .products import UnitProducts
from .refit import DAMPING
from .supernet import Supernet

PRODUCTS = "products.safetensors"  # beside the model's weights
_HELD = 2**28  # bytes of solutions


class SolvedSupernet(Supernet):
    """A model, and the products of its units: subnetworks are its slices but for solved outgoing maps.

    With G `(n, n)` the products of a block's units less their means, K what is kept of them and R what is not, the
    outgoing map W gets dW' = (G_KK + lambda I)^-1 G_KR W_R', lambda = damping * tr(G_KK) / k: what `refit` finds where
    all blocks but this one are whole. The bias takes up the means. Solved in float64.

    Args:
        model: as of :class:`Supernet`; its parameters must not change while this object lives.
        products: of each block, by :attr:`Block.outgoing`, of all its units in the model's order.
        damping: above 0.

    Attributes:
        products: as given.

    Raises:
        InputError: as :class:`Supernet`; or products of another model.
    """

    def __init__(
        self, model: PreTrainedModel, products: Mapping[str, UnitProducts], *, damping: float = DAMPING
    ) -> None:
        super().__init__(model)
        self._damping = damping
        self.products = products
        self._held: OrderedDict[tuple[str, bytes], tuple[Tensor, Tensor | None]] = OrderedDict()
        self._bytes = 0
        for block in blocks(self.architecture):
            width = outgoing_map(self, block)[0].shape[1]
            found = products.get(block.outgoing)
            if found is None or found.products.shape != (width, width) or found.means.shape != (width,):
                raise InputError(f"products of {block.outgoing} are not those of the {width} units that this model has")

    def solved(self, mask: SubnetMask) -> dict[str, Tensor]:
        """Return the outgoing maps of the blocks that lack units, float32, keyed as :meth:`pieces` does."""
        rows = hidden_index(mask, self.device)
        found = {}
        for block in blocks(self.architecture):
            kept = (
                np.repeat(mask.heads[block.layer], self.shape.head_size)
                if block.kind == "attention"
                else mask.neurons[block.layer]
            )
            if kept.any() and not kept.all():
                weight, bias = self._solution(block, kept)
                found[f"{block.outgoing}.weight"] = cut(weight, rows)
                if bias is not None:
                    found[f"{block.outgoing}.bias"] = cut(bias, rows)
        return found

    @torch.no_grad()
    def _solution(self, block: Block, kept: NDArray[np.bool_]) -> tuple[Tensor, Tensor | None]:
        """Return a block's outgoing weight `(D, k)` and bias `(D,)`, if any, of all hidden dimensions."""
        key = block.outgoing, np.packbits(kept).tobytes()
        if key not in self._held:
            products, (weight, bias) = self.products[block.outgoing], outgoing_map(self, block)
            self._held[key] = found = _solve(products, weight, bias, kept, self._damping)
            self._bytes += _size(found)
        self._held.move_to_end(key)
        while self._bytes > _HELD and len(self._held) > 1:
            _, gone = self._held.popitem(last=False)
            self._bytes -= _size(gone)
        return self._held[key]


def _solve(
    products: UnitProducts, weight: Tensor, bias: Tensor | None, kept: NDArray[np.bool_], damping: float
) -> tuple[Tensor, Tensor | None]:
    own, others = (torch.from_numpy(np.flatnonzero(part)).to(weight.device) for part in (kept, ~kept))
    means, rows = products.means.double(), products.products[own].double()
    inner, given = rows[:, own], weight[:, others].double()
    inner.diagonal().add_(damping * inner.trace() / len(own))
    factor, failed = torch.linalg.cholesky_ex(inner)
    change = torch.cholesky_solve(rows[:, others] @ given.T, factor).T
    if int(failed) or not change.isfinite().all():  # units that say nothing, or no numbers: as `refit` leaves them
        return weight[:, own].float(), None if bias is None else bias.float()
    refitted = (weight[:, own] + change).float()
    if bias is None:
        return refitted, None
    return refitted, (bias + given @ means[others] - change @ means[own]).float()


def _size(solution: tuple[Tensor, Tensor | None]) -> int:
    return sum(part.nbytes for part in solution if part is not None)


def save_products(products: Mapping[str, UnitProducts], path: Path) -> None:
    """Write products in float32; the file is none before it is complete only within a folder that is so made."""
    tensors = {}
    for name, of in products.items():
        tensors[f"{name}.means"], tensors[f"{name}.products"] = of.means.float(), of.products.float()
    safetensors.torch.save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)


def load_products(path: Path, names: Iterable[str], device: torch.device) -> dict[str, UnitProducts]:
    """Read what :func:`save_products` wrote.

    Args:
        path: the file.
        names: of the blocks' outgoing maps.
        device: where to.

    Raises:
        InputError: it is damaged, or not there.
    """
    try:
        tensors = safetensors.torch.load_file(path, device=str(device))
        return {name: UnitProducts(tensors[f"{name}.means"], tensors[f"{name}.products"]) for name in names}
    except (OSError, safetensors.SafetensorError, KeyError) as error:
        raise InputError(f"cannot read the products of units in {path} ({type(error).__name__}: {error})") from error
