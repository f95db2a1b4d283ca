"""Which slice of which weight a subnetwork uses: read to run or extract it, written to gather its gradients."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import partial

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
        shared: pieces of other layers are of the same parameter, which an extracted model has whole.
    """

    names: tuple[str, ...]
    rows: Index = None
    columns: Index = None
    real: int | None = None
    shared: bool = False

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
    names: Container[str],
    device: torch.device | None = None,
    multiple: int = 1,
) -> Pieces:
    """List what a subnetwork uses of its supernet, without the embedding tables.

    Keys are `embeddings.norm.weight`, `{layer}.qkv.weight`, `{layer}.attention_output.bias`, ..., `head.dense.weight`.
    A dropped block has no keys, and neither has what the model lacks: biases, norms, a dense layer of the head.
    Queries, keys and values are one below the other, and so are what is activated and what it is multiplied by.

    Feed-forward widths can be filled up to a round number with neurons whose outgoing weights count as zero: outputs
    and gradients stay what they are.

    Args:
        family: where the parameters are.
        head: where the head's are.
        shape: the supernet's encoder.
        mask: the subnetwork.
        names: of the model's parameters.
        device: where index tensors live.
        multiple: of which a feed-forward block's width is, unless it is the whole block's.

    Raises:
        ValueError: a mask of another encoder, or with fewer tokens, of which a supernet's table has no slice.
    """
    if mask.tokens is not None:
        raise ValueError(f"{mask} has fewer tokens than the supernet; run and cut out mask.with_tokens(None)")
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
        if f"{paths[0]}.weight" in names:
            found[f"{key}.weight"] = Piece(tuple(f"{path}.weight" for path in paths), rows, columns, real)
        if f"{paths[0]}.bias" in names:
            found[f"{key}.bias"] = Piece(tuple(f"{path}.bias" for path in paths), rows)

    embeddings = family.embeddings.present(names)
    add("embeddings.norm", (embeddings.norm,), None if embeddings.projection else hidden)
    if embeddings.projection:
        add("embeddings.projection", (embeddings.projection,), hidden)
    for layer in range(shape.num_layers):
        paths = partial(family.layer_paths, layer)
        if mask.heads[layer].any():
            width = index_of(np.repeat(mask.heads[layer], shape.head_size), device)
            stacked = _stacked(width, family.stacked("qkv"), shape.num_heads * shape.head_size, device)
            add(f"{layer}.qkv", paths("qkv"), stacked, hidden)
            add(f"{layer}.attention_output", paths("attention_output"), hidden, width)
            add(f"{layer}.attention_norm", paths("attention_norm"), hidden)
            if family.relative_bias is not None:
                heads = index_of(mask.heads[layer], device)
                name = f"{family.relative_bias}.weight"
                found[f"{layer}.relative_bias.weight"] = Piece((name,), None, heads, shared=True)
        if mask.neurons[layer].any():
            neurons, real = _filled_up(mask.neurons[layer], multiple, device)
            stacked = _stacked(neurons, family.stacked("ffn_in"), shape.intermediate_size, device)
            add(f"{layer}.ffn_in", paths("ffn_in"), stacked, hidden)
            add(f"{layer}.ffn_out", paths("ffn_out"), hidden, neurons, real)
            add(f"{layer}.ffn_norm", paths("ffn_norm"), hidden)
    if family.distances is not None:
        add("distances", (family.distances,), None, hidden)
    if family.distances_norm is not None:
        add("distances_norm", (family.distances_norm,), hidden)
    if family.final_norm is not None:
        add("final_norm", (family.final_norm,), hidden)
    if head.dense is None:
        add("head.classifier", (head.classifier,), None, hidden)
    else:
        add("head.dense", (head.dense,), None, hidden)
        if head.norm is not None:
            add("head.norm", (head.norm,))
        add("head.classifier", (head.classifier,))
    return found


def below(rows: Tensor, count: int, length: int) -> Tensor:
    """Return the same rows of each of `count` things of `length` rows that lie one below the other in a parameter."""
    return torch.cat([rows + place * length for place in range(count)])


def _stacked(rows: Index, count: int, length: int, device: torch.device | None) -> Index:
    if rows is None or count == 1:
        return rows
    return below(torch.arange(rows.stop, device=device) if isinstance(rows, slice) else rows, count, length)


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
