"""`secateur convert`: a checkpoint as files for other engines than PyTorch, in float32 and in int8."""

from __future__ import annotations

from ..errors import InputError
from ..evaluation.objectives.disk import MB
from ..supernet.shipping.files import engine_files, too_far, write_engine_files
from ..supernet.shipping.layouts import check_readable, layout_of, write_layout
from ..supernet.shipping.texts import scale_batches
from ..supernet.stored.storage import load_model, load_tokenizer, model_positions
from ..tasks.batches import Batch
from ..tasks.corpus import read_texts
from .console import out, say
from .settings import ConvertCommand


def convert(settings: ConvertCommand) -> None:
    """Write a checkpoint's ONNX file, or OpenVINO's, checked against the model, and with --int8 a quantised one."""
    if settings.layout is not None:
        _lay_out(settings, settings.layout)
        return
    to = settings.to or settings.checkpoint
    if to.exists() and not to.is_dir():
        raise InputError(f"{to} is a file; give a folder for the files")
    files = engine_files(onnx=not settings.openvino, int8=settings.int8, openvino=settings.openvino)
    for file in files:
        file.engine.check_installed(int8=file.int8)
    model = load_model(settings.checkpoint)
    texts = _texts(settings, model_positions(model.config)) if settings.openvino and settings.int8 else []
    for path in write_engine_files(model, to, files, texts=texts, opset=settings.opset):
        out.print(f"{path}: {path.stat().st_size / MB:.1f} MB", markup=False)
    for file in files:
        if file.int8 and (warning := too_far(model, file, to)):
            say(f"warning: {warning}")


def _lay_out(settings: ConvertCommand, name: str) -> None:
    """Write the folder that some programs expect."""
    layout = layout_of(name)
    if settings.to is None:
        raise InputError(f"the layout {name} is a folder of its own; say where as --to")
    if settings.openvino or settings.opset is not None:
        raise InputError(f"the layout {name} decides which files there are; leave --openvino and --opset out")
    layout.check_installed(int8=settings.int8)
    model, tokenizer = load_model(settings.checkpoint), load_tokenizer(settings.checkpoint)
    check_readable(name, model)
    asks = settings.int8 and any(file.engine == "openvino" for file in layout.files)
    texts = _texts(settings, model_positions(model.config)) if asks else []
    write_layout(name, model, tokenizer, settings.to, int8=settings.int8, texts=texts)
    out.print(f"{settings.to}: for {layout.readers}", markup=False)


def _texts(settings: ConvertCommand, limit: int) -> list[Batch]:
    """Return the first texts, each a batch of its own of at most so many tokens.

    Raises:
        InputError: no texts were given, or files that cannot be read.
    """
    if not settings.data:
        raise InputError(
            "OpenVINO's int8 finds its scales on texts; give some hundred that the model is going to read as --data"
        )
    tokenizer = load_tokenizer(settings.checkpoint)
    columns = [settings.text_column, *([settings.text_pair_column] if settings.text_pair_column else [])]
    texts = zip(*(read_texts(settings.data, column) for column in columns), strict=True)
    return scale_batches(texts, tokenizer, limit)
