"""Which slice of which weight a subnetwork uses: read to run or extract it, written to gather its gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..search_space import EncoderShape, SubnetMask
from .families import HeadPaths, ModelFamily

# None keeps everything, a slice a prefix (reading it gives a view), a tensor holds the positions kept.
Index = slice | Tensor | None


@dataclass(frozen=True)
class Piece:
    """Rows and columns of one or several parameters of equal shape, stacked along the rows.

    Attributes:
        names: parameters' names; several are stacked, as the query, key and value projections are.
        rows, columns: what is kept of them.
        real: how many of the columns are; those after them only fill up to a round width and count as zero.
    """

    names: tuple[str, ...]
    rows: Index = None
    columns: Index = None
    real: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is left out."""
        return self.rows is None and self.columns is None and self.real is None

    def take(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """Read the piece: a view of the parameter where rows and columns are slices and one name is given."""
        parts = [cut(parameters[name], self.rows, self.columns) for name in self.names]
        taken = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.real is not None:
            taken = taken.clone(memory_format=torch.contiguous_format)
            taken[..., self.real :] = 0.0
        return taken

    def hold(self, values: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        """Return values of the real columns in place of those that :meth:`take` reads, of its shape."""
        if self.real is None:
            return values
        taken = self.take(parameters)
        taken[..., : self.real] = values
        return taken

    def put(self, targets: Mapping[str, Tensor], name: str, values: Tensor) -> None:
        """Write one of the parameters' part over the place it came from; the piece has no columns that fill up."""
        target = targets[name]
        rows = torch.arange(len(target), device=target.device)
        rows = rows if self.rows is None else cut(rows, self.rows)
        if target.dim() == 1 or self.columns is None:
            target[rows] = values.to(target.dtype)
            return
        columns = cut(torch.arange(target.shape[1], device=target.device), self.columns)
        target[rows[:, None], columns] = values.to(target.dtype)

    def add_to(self, targets: Mapping[str, Tensor], values: Tensor) -> None:
        """Add `values`, of the shape :meth:`take` returns, to the places they came from."""
        columns = self.columns
        if self.real is not None:
            values = values[..., : self.real]
            columns = columns[: self.real] if isinstance(columns, Tensor) else slice(0, self.real)
        parts = values.chunk(len(self.names)) if len(self.names) > 1 else (values,)
        for name, part in zip(self.names, parts, strict=True):
            target = targets[name]
            if isinstance(self.rows, Tensor) and isinstance(columns, Tensor):
                target[self.rows[:, None], columns] += part.to(target.dtype)
            elif isinstance(self.rows, Tensor):
                cut(target, None, columns).index_add_(0, self.rows, part.to(target.dtype))
            elif isinstance(columns, Tensor):
                cut(target, self.rows).index_add_(1, columns, part.to(target.dtype))
            else:
                cut(target, self.rows, columns).add_(part)


def cut(tensor: Tensor, rows: Index, columns: Index = None) -> Tensor:
    """Keep rows (first dimension) and columns (last dimension) of a tensor: a view where both are slices."""
    if rows is not None:
        tensor = tensor[rows] if isinstance(rows, slice) else tensor.index_select(0, rows)
    if columns is not None:
        tensor = tensor[..., columns] if isinstance(columns, slice) else tensor.index_select(-1, columns)
    return tensor


Pieces = dict[str, Piece]


def pieces(
    family: ModelFamily,
    head: HeadPaths,
    shape: EncoderShape,
    mask: SubnetMask,
    *,
    projection: bool,
    device: torch.device | None = None,
    multiple: int = 1,
) -> Pieces:
    """List what a subnetwork uses of its supernet, without the embedding tables.

    Keys are `embeddings.norm.weight`, `{layer}.qkv.weight`, `{layer}.attention_output.bias`, ..., `head.dense.weight`.
    A dropped block has no keys, and neither has a dense layer that the head lacks.

    Feed-forward widths can be filled up to a round number with neurons whose outgoing weights count as zero: outputs
    and gradients stay what they are.

    Args:
        family: where the parameters are.
        head: where the head's are.
        shape: the supernet's encoder.
        mask: the subnetwork.
        projection: the embeddings are projected to the encoder's width (ELECTRA-small).
        device: where index tensors live.
        multiple: of which a feed-forward block's width is, unless it is the whole block's.

    Raises:
        ValueError: a mask of another encoder.
    """
    expected = ((shape.num_layers, shape.num_heads), (shape.num_layers, shape.intermediate_size), (shape.hidden_size,))
    if (mask.heads.shape, mask.neurons.shape, mask.hidden.shape) != expected:
        raise ValueError(
            f"this encoder needs a mask with heads {expected[0]}, neurons {expected[1]} and hidden {expected[2]}, got "
            f"{mask.heads.shape}, {mask.neurons.shape} and {mask.hidden.shape}; build the mask from supernet.shape"
        )

    hidden = index_of(mask.hidden, device)
    found: Pieces = {}

    def add(
        key: str, paths: tuple[str, ...], rows: Index = None, columns: Index = None, real: int | None = None
    ) -> None:
        found[f"{key}.weight"] = Piece(tuple(f"{path}.weight" for path in paths), rows, columns, real)
        found[f"{key}.bias"] = Piece(tuple(f"{path}.bias" for path in paths), rows)

    def add_norm(key: str, path: str, rows: Index) -> None:
        add(key, (path,), rows)

    add_norm("embeddings.norm", family.embeddings.norm, None if projection else hidden)
    if projection and family.embeddings.projection:
        add("embeddings.projection", (family.embeddings.projection,), hidden)
    for layer in range(shape.num_layers):
        if mask.heads[layer].any():
            width = index_of(np.repeat(mask.heads[layer], shape.head_size), device)
            qkv = tuple(family.layer_path(layer, part) for part in ("query", "key", "value"))
            add(f"{layer}.qkv", qkv, width, hidden)
            add(f"{layer}.attention_output", (family.layer_path(layer, "attention_output"),), hidden, width)
            add_norm(f"{layer}.attention_norm", family.layer_path(layer, "attention_norm"), hidden)
        if mask.neurons[layer].any():
            neurons, real = _filled_up(mask.neurons[layer], multiple, device)
            add(f"{layer}.ffn_in", (family.layer_path(layer, "ffn_in"),), neurons, hidden)
            add(f"{layer}.ffn_out", (family.layer_path(layer, "ffn_out"),), hidden, neurons, real)
            add_norm(f"{layer}.ffn_norm", family.layer_path(layer, "ffn_norm"), hidden)
    if head.dense is None:
        add("head.classifier", (head.classifier,), None, hidden)
    else:
        add("head.dense", (head.dense,), None, hidden)
        add("head.classifier", (head.classifier,))
    return found


def index_of(kept: np.ndarray, device: torch.device | None = None) -> Index:
    """Turn a `(n,)` bool array into an index; prefixes become slices."""
    count = int(kept.sum())
    if kept[:count].all():
        return None if count == len(kept) else slice(0, count)
    return torch.from_numpy(np.flatnonzero(kept)).to(device)


def _filled_up(kept: np.ndarray, multiple: int, device: torch.device | None) -> tuple[Index, int | None]:
    """Return the positions kept, others behind them up to a multiple, and how many are real (None: all)."""
    count = int(kept.sum())
    width = min(len(kept), math.ceil(count / multiple) * multiple)
    if width == count:
        return index_of(kept, device), None
    if kept[:count].all():
        return (None if width == len(kept) else slice(0, width)), count
    others = np.flatnonzero(~kept)[: width - count]
    return torch.from_numpy(np.concatenate([np.flatnonzero(kept), others])).to(device), count


def hidden_index(mask: SubnetMask, device: torch.device | None = None) -> Index:
    """Return which residual dimensions a mask keeps."""
    return index_of(mask.hidden, device)
