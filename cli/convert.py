"""`secateur convert`: a checkpoint as files for other engines than PyTorch, in float32 and in int8."""

from __future__ import annotations

from itertools import islice

import numpy as np
import torch

from ..errors import InputError
from ..evaluation.objectives.disk import MB
from ..supernet.shipping.files import engine_files, too_far, write_engine_files
from ..supernet.stored.storage import load_model, load_tokenizer, model_positions
from ..tasks.batches import Batch
from ..tasks.corpus import read_texts
from .console import out, say
from .settings import ConvertCommand

_TEXTS = 300  # NNCF's own number


def convert(settings: ConvertCommand) -> None:
    """Write a checkpoint's ONNX file, or OpenVINO's, checked against the model, and with --int8 a quantised one."""
    to = settings.to or settings.checkpoint
    if to.exists() and not to.is_dir():
        raise InputError(f"{to} is a file; give a folder for the files")
    files = engine_files(onnx=not settings.openvino, int8=settings.int8, openvino=settings.openvino)
    for file in files:
        file.engine.check_installed(int8=file.int8)
    model = load_model(settings.checkpoint)
    texts = []
    if settings.openvino and settings.int8:
        if not settings.data:
            raise InputError(
                "OpenVINO's int8 finds its scales on texts; give some hundred that the model is going to read as --data"
            )
        texts = _batches(settings, model_positions(model.config))
    for path in write_engine_files(model, to, files, texts=texts, opset=settings.opset):
        out.print(f"{path}: {path.stat().st_size / MB:.1f} MB", markup=False)
    for file in files:
        if file.int8 and (warning := too_far(model, file, to)):
            say(f"warning: {warning}")


def _batches(settings: ConvertCommand, limit: int) -> list[Batch]:
    """Return the first texts, each a batch of its own of at most so many tokens."""
    tokenizer = load_tokenizer(settings.checkpoint)
    columns = [settings.text_column, *([settings.text_pair_column] if settings.text_pair_column else [])]
    texts = list(islice(zip(*(read_texts(settings.data, column) for column in columns), strict=True), _TEXTS))
    batches = []
    for text in texts:
        encoded = tokenizer(*text, truncation=True, max_length=limit, return_tensors="pt")
        real = encoded["attention_mask"].bool()
        batches.append(Batch(encoded["input_ids"], encoded.get("token_type_ids"), real, torch.zeros(1), np.arange(1)))
    return batches
