"""Models as ONNX files: in float32, checked against the model, and in int8."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ...errors import InputError
from ...files import replace_file, sweep
from ...tasks.batches import Batch
from ..heads import read_outputs
from ..stored.storage import known_segments, model_positions
from .graph import onnx_graph
from .needed import needed
from .session import FileModel, OnnxModel

__all__ = ["TOLERANCE", "OnnxModel", "export_onnx", "quantize_onnx", "write_onnx"]

TOLERANCE = 1e-4  # by which float32 outputs may differ from PyTorch's
_CHECKED = ((1, 1), (3, 7), (2, 24))  # texts and tokens of the batches that are compared


def export_onnx(model: PreTrainedModel, path: Path, *, opset: int | None = None, states: bool = False) -> None:
    """Write a model as a float32 ONNX file that takes any number of texts of any length, and check it.

    What was at `path` is replaced once the new file has given the model's outputs on random batches with padding. For
    inputs and outputs see :func:`~secateur.supernet.shipping.graph.onnx_graph`.

    Args:
        model: of a supported family, extracted or not, with one of the heads; left as it is.
        path: the file.
        opset: version of the standard operators; the lowest that has all that is needed if None.
        states: of a model for embedding, also give its encoder's states.

    Raises:
        InputError: another family or head, an opset that onnx or ONNX Runtime lacks, packages that are not installed,
            outputs that differ by more than 1e-4, a full disk or a place that cannot be written.
    """
    with replace_file(path) as part:
        write_onnx(model, part, opset=opset, states=states)
        check_outputs(model, OnnxModel(part), "ONNX file")
    sweep(path)


def write_onnx(model: PreTrainedModel, path: Path, *, opset: int | None = None, states: bool = False) -> None:
    """Write a model's ONNX graph as it is, unchecked; arguments and errors are :func:`export_onnx`'s."""
    path.write_bytes(onnx_graph(model, opset, states=states).SerializeToString())


def quantize_onnx(path: Path, to: Path, *, bits: Literal[7, 8] = 7, in_float: Collection[str] = ()) -> None:
    """Write an ONNX file in int8: weights once, a scale for each output; what flows between them in every pass anew.

    Embedding tables and linear maps are quantised, which is all that is large. With a scale for each output, logits of
    a fine-tuned MiniLM were off by 0.16 in quadratic mean, by 0.40 with one for each matrix, at one speed; unsigned
    weights took twice as long.

    Without VNNI, ONNX Runtime adds two products of an activation and a weight in 16 bits, which 2 * 255 * 127 overflows
    and 2 * 255 * 64 does not: weights of 7 bits are right on every processor, see `benchmarks/int8.py`.

    Args:
        path: a float32 file.
        to: the file to write; replaced if it is there.
        bits: of the linear maps' weights, 7 or 8; embedding tables, which are not multiplied, have 8.
        in_float: names of nodes that stay in float32.

    Raises:
        InputError: packages that are not installed, a damaged file, a full disk or a place that cannot be written.
    """
    onnx, quantization = needed("onnx"), needed("onnxruntime.quantization")
    OnnxModel(path)  # which says what is wrong with it
    graph = onnx.load(path)
    # Its shapes are inferred as they are; without this mark a warning asks for that to be done first.
    mark = graph.metadata_props.add(key="onnx.quant.pre_process", value="onnxruntime.quant")
    assert mark is not None
    # A scale for each output is for matrices; products with one for each head, of distances, are small.
    of_heads = {constant.name for constant in graph.graph.initializer if len(constant.dims) > 2}
    with replace_file(to) as part:
        quantization.quantize_dynamic(
            graph,
            part,
            per_channel=True,
            weight_type=quantization.QuantType.QInt8,
            reduce_range=bits == 7,
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=[
                node.name for node in graph.graph.node if node.name in in_float or of_heads & set(node.input)
            ],
        )
    sweep(to)


def onnx_maps(path: Path) -> list[tuple[str, ...]]:
    """Return the names of the nodes that multiply by weights or look them up, in the order of a pass.

    Those that read the same tensor, as queries, keys and values do, are together: what makes one of them hard to
    quantise is mostly what they read.
    """
    graph = needed("onnx").load(path).graph
    weights = {constant.name for constant in graph.initializer if len(constant.dims) == 2}
    found: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type == "MatMul" and weights & set(node.input):
            found.setdefault(next(name for name in node.input if name not in weights), []).append(node.name)
        elif node.op_type == "Gather" and node.input[0] in weights:
            found.setdefault(node.input[0], []).append(node.name)
    return [tuple(names) for names in found.values()]


def check_outputs(model: PreTrainedModel, exported: FileModel, what: str) -> None:
    """Compare a file with its model on random batches of several sizes, padded ones among them.

    Args:
        model: in any precision; left as it is.
        exported: the file, in float32.
        what: the file is, for people.

    Raises:
        InputError: they disagree, or the model's outputs are not numbers.
    """
    for found, expected in compared(model, exported, _CHECKED):
        worst = float(np.abs(found - expected).max())
        if not worst <= TOLERANCE:  # NaN is refused too
            raise InputError(
                f"the {what} of this {type(model).__name__} gives other outputs than the model, by up to "
                f"{worst:.3g} where {TOLERANCE:g} is allowed, so it is not kept; serve the model in PyTorch"
            )


def compared(
    model: PreTrainedModel, exported: FileModel, sizes: Sequence[tuple[int, int]]
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield a file's outputs and its model's, `(R, C)` each, on random batches.

    Args:
        model: in any precision, compared in float32; left as it is.
        exported: the file.
        sizes: texts and tokens of each batch.
    """
    if model.training or model.dtype != torch.float32 or model.device.type != "cpu":
        model = copy.deepcopy(model).float().cpu().eval()
    for batch in random_batches(model, sizes):
        given = {name: torch.from_numpy(values) for name, values in exported.feed(batch).items()}
        with torch.inference_mode():
            expected = read_outputs(model(**given), batch.attention_mask).numpy()
        yield exported.outputs(batch), expected


def random_batches(
    model: PreTrainedModel, sizes: Sequence[tuple[int, int]] = _CHECKED, seed: int = 0
) -> Iterator[Batch]:
    """Draw batches of random tokens that a model can read, of these texts and tokens, short and long texts mixed."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    pad = max(0, int(config.pad_token_id or 0))
    for texts, tokens in sizes:
        tokens = min(tokens, model_positions(config))
        lengths = torch.randint(1, tokens + 1, (texts, 1), generator=generator)
        lengths[0] = tokens
        real = torch.arange(tokens) < lengths
        ids = torch.randint(0, int(config.vocab_size), (texts, tokens), generator=generator).masked_fill(~real, pad)
        types = (torch.arange(tokens) >= lengths // 2) & real if known_segments(config) > 1 else None
        yield Batch(ids, None if types is None else types.long(), real, torch.zeros(texts), np.arange(texts))
