"""What an extracted subnetwork's weights take on disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ...search_space import SubnetMask
from .objective import Objective

if TYPE_CHECKING:
    from torch import Tensor

    from ...supernet import Supernet
    from ...supernet.elastic import Index

MB = 1e6  # bytes
_Tensors = dict[str, tuple[str, int, list[int]]]  # precision, bytes and shape of each, by its name
_DTYPES = {"torch.float32": "F32", "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float64": "F64"}


def disk(supernet: Supernet) -> Objective:
    """Count the bytes of the extracted model's `model.safetensors`, exactly.

    Eight bytes, a JSON header filled up to a multiple of eight, then the tensors in the supernet's precision, in order
    of their names. Of a model that makes vectors the linear map has a file of its own, where it is not the identity.

    Source: the safetensors format, https://github.com/huggingface/safetensors.
    """

    def count(mask: SubnetMask) -> float:
        return sum(map(_bytes, _files(supernet, mask))) / MB

    return Objective("disk_mb", "MB", count)


def _bytes(tensors: _Tensors) -> int:
    """Return the size of a file of tensors."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, size, shape) in sorted(tensors.items()):
        begin, end = end, end + size
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + text + -text % 8 + end


def _files(supernet: Supernet, mask: SubnetMask) -> list[_Tensors]:
    """Return what each file of weights of the extracted model holds."""
    tensors = _tensors(supernet, mask)
    if supernet.head != "embedding":
        return [tensors]
    from ...supernet.sentence import PROJECTION  # here: names of objectives are listed without torch
    from ...supernet.sentence_head import SentenceHead, is_identity

    prefix = f"{supernet.model.base_model_prefix}."
    encoder = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    linear: Any = supernet.model.get_submodule(PROJECTION)
    whole = mask.hidden_size == supernet.shape.hidden_size and is_identity(linear)
    if whole and SentenceHead.of(supernet.model.config).activation is None:
        return [encoder]
    named = {name.replace(f"{PROJECTION}.", "linear."): one for name, one in tensors.items()}
    return [encoder, {name: one for name, one in named.items() if name.startswith("linear.")}]


def _tensors(supernet: Supernet, mask: SubnetMask) -> _Tensors:
    """Return the precision, bytes and shape of each tensor of the extracted model, by the name it has there."""
    from ...supernet.extraction import kept_layers  # here: names of objectives are listed without torch

    family, everything = supernet.family, supernet.parameters
    columns = supernet.embedding_columns(mask)
    kept: dict[str, tuple[Index, Index]] = {f"{path}.weight": (None, columns) for path in supernet.embeddings.tables}
    kept[f"{supernet.embeddings.word}.weight"] = slice(supernet.words(mask)), columns
    for piece in supernet.pieces(mask.with_tokens(None)).values():
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
