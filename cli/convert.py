"""`secateur convert`: a checkpoint as ONNX files, in float32 and in int8."""

from __future__ import annotations

from ..errors import InputError
from ..evaluation.objectives.disk import MB
from ..supernet.shipping.files import INT8_FILE, ONNX_FILE, too_far, write_onnx_files
from ..supernet.stored.storage import load_model
from .console import out, say
from .settings import ConvertCommand


def convert(settings: ConvertCommand) -> None:
    """Write a checkpoint's ONNX file, checked against the model, and with --int8 a quantised one."""
    model, to = load_model(settings.checkpoint), settings.to or settings.checkpoint
    if to.exists() and not to.is_dir():
        raise InputError(f"{to} is a file; give a folder for {ONNX_FILE}")
    files = write_onnx_files(model, to, onnx=True, int8=settings.int8, opset=settings.opset)
    for file in files:
        out.print(f"{file}: {file.stat().st_size / MB:.1f} MB", markup=False)
    if settings.int8 and (warning := too_far(model, to / INT8_FILE)):
        say(f"warning: {warning}")
