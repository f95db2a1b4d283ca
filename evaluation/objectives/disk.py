"""What an extracted subnetwork's weights take on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ...search_space import SubnetMask
from .objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from ...supernet import Supernet
    from ...supernet.elastic import Index

MB = 1e6  # bytes
_DTYPES = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64"}


def disk(supernet: Supernet) -> Objective:
    """Count the bytes of the extracted model's `model.safetensors`, exactly.

    Eight bytes, a JSON header filled up to a multiple of eight, then the tensors in the supernet's precision, in order
    of their names.

    Source: the safetensors format, https://github.com/huggingface/safetensors.
    """

    def count(mask: SubnetMask) -> float:
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, (dtype, size, shape) in sorted(_tensors(supernet, mask).items()):
            begin, end = end, end + size
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
        text = len(json.dumps(header, separators=(",", ":")))
        return (8 + text + -text % 8 + end) / MB

    return Objective("disk_mb", "MB", count)


def _tensors(supernet: Supernet, mask: SubnetMask) -> dict[str, tuple[str, int, list[int]]]:
    """Return the precision, bytes and shape of each tensor of the extracted model, by the name it has there."""
    from ...supernet.extraction import kept_layers  # here: names of objectives are listed without torch

    family, everything = supernet.family, supernet.parameters
    columns = supernet.embedding_columns(mask)
    kept: dict[str, tuple[Index, Index]] = {f"{path}.weight": (None, columns) for path in supernet.embeddings.tables}
    for piece in supernet.pieces(mask).values():
        kept |= dict.fromkeys(piece.names, (None, None) if piece.shared else (piece.rows, piece.columns))
    if family.relative_bias is not None:  # there even where no layer keeps a head
        kept[f"{family.relative_bias}.weight"] = None, None
    renamed = {f"{family.layers}.{old}": f"{family.layers}.{new}" for new, old in enumerate(kept_layers(mask))}
    parts = family.layers.count(".") + 2
    found = {}
    for name, (rows, columns) in kept.items():
        path = name.split(".")
        layer = ".".join(path[:parts])
        shape = _shape(everything[name], rows, columns)
        size = everything[name].element_size()
        for length in shape:
            size *= length
        new = ".".join([renamed.get(layer, layer), *path[parts:]])
        found[new] = (_DTYPES[str(everything[name].dtype)], size, shape)
    return found


def _shape(tensor: Tensor, rows: Index, columns: Index) -> list[int]:
    shape = list(tensor.shape)
    shape[0] = _length(rows, shape[0])
    shape[-1] = _length(columns, shape[-1])
    return shape


def _length(index: Index, whole: int) -> int:
    if index is None:
        return whole
    return int(index.stop) if isinstance(index, slice) else len(index)
