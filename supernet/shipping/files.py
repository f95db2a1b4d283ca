"""A model's ONNX files in a folder."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedModel

from ..stored.record import read_record, record_of, write_record
from .onnx import export_onnx, quantize_onnx

ONNX_FILE, INT8_FILE = "model.onnx", "model-int8.onnx"


def write_onnx_files(
    model: PreTrainedModel, folder: Path, *, onnx: bool, int8: bool, opset: int | None = None
) -> list[Path]:
    """Write a model's ONNX files into a folder; each is there whole or not at all.

    Args:
        model: in any precision; exported in float32.
        folder: made if it is not there; if Secateur wrote a checkpoint there, its record takes them in.
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
    return written
