"""The ONNX files beside a checkpoint, and how far the int8 one is from the model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel

from ..stored.record import read_record, record_of, write_record
from .checkpoint import write_card
from .model_card import read_facts
from .onnx import compared, export_onnx, quantize_onnx
from .session import OnnxModel

ONNX_FILE, INT8_FILE = "model.onnx", "model-int8.onnx"
INT8_SECTION = {
    "In int8": (
        f"`{INT8_FILE}` suits every processor. Its weights take 7 of the 8 bits: without VNNI (AMD before Zen 4,\n"
        "Intel before Cascade Lake) products are added in 16 bits, which weights of 8 bits would overflow."
    )
}
FARTHEST = 0.25
"""What an int8 file may be off by without a warning, see `int8_gap`.

MiniLM and tiny random models of all families and heads are off by 0.04 to 0.21 with weights of 7 bits. With 8 bits the
tiny ones are off by 0.2 to 1.3 on a processor that overflows.
"""
_SIZES = ((1, 1), (3, 7), (2, 24), (8, 24), (8, 16))  # texts and tokens of what is compared


def write_onnx_files(
    model: PreTrainedModel, folder: Path, *, onnx: bool, int8: bool, opset: int | None = None
) -> list[Path]:
    """Write a model's ONNX files into a folder; each is there whole or not at all.

    Args:
        model: in any precision; exported in float32.
        folder: made if it is not there; if Secateur wrote a checkpoint there, its card and record take them in.
        onnx: write the float32 file.
        int8: write the quantised one.
        opset: version of the standard operators.

    Raises:
        InputError: as `export_onnx` and `quantize_onnx`.
    """
    written = []
    if onnx or int8:
        export_onnx(model, path := folder / ONNX_FILE, opset=opset)
        written.append(path)
    if int8:
        quantize_onnx(folder / ONNX_FILE, path := folder / INT8_FILE)
        written.append(path)
        if not onnx:
            (folder / ONNX_FILE).unlink()
            written = [path]
    record = read_record(folder)
    if written and record is not None:
        write_record(folder, record_of(folder, record.form, record.card))
        if int8:
            facts = read_facts(record.card, folder)
            write_card(folder, replace(facts, sections={**facts.sections, **INT8_SECTION}))
    return written


def int8_gap(model: PreTrainedModel, path: Path) -> float:
    """Return by how much an int8 file is off here, on random texts: a share of what the model's outputs vary by.

    Both are root mean squares over texts and outputs, the second about each output's mean. Another processor adds in
    another way, so it may find another gap.

    Args:
        model: what the file was made of, in any precision; left as it is.
        path: the file.
    """
    pairs = list(compared(model, OnnxModel(path), _SIZES))
    found, expected = (np.concatenate(side) for side in zip(*pairs, strict=True))
    variance = max(float(expected.var(axis=0).mean()), float(np.finfo(np.float32).tiny))
    return float(np.sqrt(((found - expected) ** 2).mean() / variance))


def too_far(model: PreTrainedModel, path: Path) -> str | None:
    """Return a warning if an int8 file is off by more than `FARTHEST` on this machine."""
    gap = int8_gap(model, path)
    if gap <= FARTHEST:
        return None
    return (
        f"{path} differs from the float32 model by {gap:.2f} of what its outputs vary by on random texts, where "
        f"{FARTHEST:g} is usual at most; compare their scores before you serve it, or serve {ONNX_FILE}"
    )
