"""Linear maps some groups of whose weights are zero, and ways to run them.

A model's maps have one of the forms of `FORMS`; all of them compute the same. `packed_storage` saves and loads them.
"""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from ...errors import unknown_name
from .slabs import Slabs


class SlabLinear(nn.Module, ABC):
    """A linear map `x W^T + b`, some groups of whose weights are zero. Abstract.

    Args:
        weight: W, `(p, q)`; a group that is all zero is taken for removed.
        bias: b, `(p,)`; None if there is none.
        slabs: how W is cut.
    """

    slabs: Slabs
    bias: nn.Parameter | None

    @abstractmethod
    def __init__(self, weight: Tensor, bias: Tensor | None, slabs: Slabs) -> None: ...

    @abstractmethod
    def whole(self) -> Tensor:
        """Return W, `(p, q)`, with its zeros."""


class DenseSlabs(SlabLinear, nn.Linear):
    """Zeros are multiplied like all else: the form that is trained and that the others are compared with."""

    def __init__(self, weight: Tensor, bias: Tensor | None, slabs: Slabs) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.slabs = slabs
        self.weight, self.bias = _parameter(weight), _optional(bias)

    def whole(self) -> Tensor:
        """Return W itself."""
        return self.weight


class PackedSlabs(SlabLinear):
    """One dense product per slab: of its kept columns of x (gathered before), or into its kept outputs (added after).

    Source: the packed form of Li et al., Findings of EMNLP 2020, which stores each slab's lines that are left.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, slabs: Slabs) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.slabs, self.bias = slabs, _optional(bias)
        kept = slabs.kept(weight)
        blocks = slabs.blocks(weight.detach())
        self.values = nn.ParameterList(_parameter(block[kept[:, i]]) for i, block in enumerate(blocks))
        for i in range(len(blocks)):
            self.register_buffer(f"lines_{i}", kept[:, i].nonzero()[:, 0])

    def forward(self, x: Tensor) -> Tensor:
        """Return `x W^T + b`, `(..., p)`."""
        rows = x.reshape(-1, self.in_features)
        out = self._by_row(rows) if self.slabs.scheme == "row" else self._by_column(rows)
        return out.view(*x.shape[:-1], self.out_features)

    def _by_row(self, x: Tensor) -> Tensor:
        parts = zip(x.split(self.slabs.widths, dim=1), self.values, strict=True)
        products = [part @ values.T for part, values in parts]  # in the precision that autocast decides
        begin = products[0].new_zeros(self.out_features) if self.bias is None else self.bias.to(products[0].dtype)
        out = begin.repeat(len(x), 1)
        for outputs, product in zip(self._lines(), products, strict=True):
            out.index_add_(1, outputs, product)
        return out

    def _by_column(self, x: Tensor) -> Tensor:
        parts = zip(self.values, self._lines(), strict=True)
        if self.bias is None:
            return torch.cat([x.index_select(1, inputs) @ values for values, inputs in parts], 1)
        biases = self.bias.split(self.slabs.widths)
        added = zip(parts, biases, strict=True)
        return torch.cat([torch.addmm(bias, x.index_select(1, inputs), values) for (values, inputs), bias in added], 1)

    def whole(self) -> Tensor:
        """Put W together."""
        kept = torch.zeros(self._line_count, len(self.values), dtype=torch.bool, device=self.values[0].device)
        for i, lines in enumerate(self._lines()):
            kept[lines, i] = True
        return self.slabs.unpack(torch.cat([values.detach().flatten() for values in self.values]), kept)

    def _lines(self) -> list[Tensor]:
        return [self.get_buffer(f"lines_{i}") for i in range(len(self.values))]

    @property
    def _line_count(self) -> int:
        return self.out_features if self.slabs.scheme == "row" else self.in_features


class BsrSlabs(SlabLinear):
    """PyTorch's block-sparse rows: with groups as blocks where its build multiplies such, else with single weights.

    Making one raises RuntimeError where neither runs; so may running it in another precision or on another device.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, slabs: Slabs) -> None:
        nn.Module.__init__(self)
        self.out_features, self.in_features = weight.shape
        self.slabs, self.bias = slabs, _optional(bias)
        width = slabs.widths[0]
        blocks = [(1, width) if slabs.scheme == "row" else (width, 1)] if len(set(slabs.widths)) == 1 else []
        sparse = _multiplying_bsr(weight.detach(), [*blocks, (1, 1)])
        # Its parts, for a sparse tensor can be neither copied nor cast with its module.
        self.values = _parameter(sparse.values())
        self.register_buffer("crow", sparse.crow_indices())
        self.register_buffer("col", sparse.col_indices())

    def forward(self, x: Tensor) -> Tensor:
        """Return `x W^T + b`, `(..., p)`."""
        rows = x.reshape(-1, self.in_features).to(self.values.dtype)
        with torch.autocast(x.device.type, enabled=False):  # it does not know this layout
            out = functional.linear(rows, self._sparse(), self.bias)
        return out.view(*x.shape[:-1], self.out_features)

    def whole(self) -> Tensor:
        """Return W with its zeros."""
        return self._sparse().detach().to_dense()

    def _sparse(self) -> Tensor:
        size = (self.out_features, self.in_features)
        parts = self.get_buffer("crow"), self.get_buffer("col"), self.values
        return torch.sparse_bsr_tensor(*parts, size, check_invariants=False)


FORMS: dict[str, type[SlabLinear]] = {"dense": DenseSlabs, "packed": PackedSlabs, "bsr": BsrSlabs}


def slab_linears(model: nn.Module) -> dict[str, SlabLinear]:
    """Return a model's maps that are zero in some groups, by their paths."""
    return {path: module for path, module in model.named_modules() if isinstance(module, SlabLinear)}


def mark_slabs(model: nn.Module, slabs: Mapping[str, Slabs]) -> None:
    """Turn linear maps, given by their paths, into dense ones that know their slabs; in place, same weights."""
    for path, cut in slabs.items():
        linear = model.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        model.set_submodule(path, DenseSlabs(linear.weight, linear.bias, cut).train(linear.training))


def in_form(model: PreTrainedModel, form: str) -> PreTrainedModel:
    """Return an independent copy of a model that runs its groups in another form.

    Args:
        model: whose slabs are marked, in any form.
        form: a name of FORMS.

    Raises:
        InputError: an unknown form.
        RuntimeError: this build of PyTorch does not run it.
    """
    if form not in FORMS:
        raise unknown_name("form", form, FORMS)
    made = copy.deepcopy(model)
    for path, module in slab_linears(made).items():
        made.set_submodule(path, FORMS[form](module.whole().detach(), module.bias, module.slabs).train(module.training))
    return made


def _multiplying_bsr(weight: Tensor, blocks: list[tuple[int, int]]) -> Tensor:
    """Return a weight in the first of these blocks that a product can be taken with."""
    failure: RuntimeError | None = None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse (BSR|CSR) tensor support is in beta state")  # said once only
        for block in blocks:
            try:
                sparse = weight.to_sparse_bsr(block)
                functional.linear(weight.new_zeros(1, weight.shape[1]), sparse)
            except RuntimeError as error:
                failure = error
            else:
                return sparse
    raise RuntimeError("this build of PyTorch does not multiply block-sparse matrices here") from failure


def _optional(tensor: Tensor | None) -> nn.Parameter | None:
    return None if tensor is None else _parameter(tensor)


def _parameter(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().clone(memory_format=torch.contiguous_format))
