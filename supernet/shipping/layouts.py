"""Folders as programs that serve models expect them: each with a plain configuration, whatever its layers keep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...errors import unknown_name
from ...tasks.batches import Batch
from ..stored.record import record_of, write_record
from ..stored.replacing import check_replaceable, replacing
from ..stored.storage import quiet
from .engines import ENGINES, Engine
from .files import EngineFile, Quantise, plain_int8
from .stock import plain_config


@dataclass(frozen=True)
class Layout:
    """A folder as some programs expect it.

    Attributes:
        readers: the programs.
        engine: whose files it has, a name of ENGINES.
        file, int8_file: where they lie in it, `{name}` being the folder's own name.
        beside: what else there is, given the model, its tokenizer, the folder and its own name.
    """

    readers: str
    engine: str
    file: str
    int8_file: str
    beside: Callable[[PreTrainedModel, PreTrainedTokenizerBase, Path, str], None]

    @property
    def runs(self) -> Engine:
        """What runs its files."""
        return ENGINES[self.engine]


def write_layout(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    int8: bool,
    texts: Sequence[Batch] = (),
    quantise: Quantise | None = None,
) -> None:
    """Write a model as some programs expect it; a folder that Secateur wrote there before is replaced.

    Args:
        name: of LAYOUTS.
        model: of a supported family, with a head, its layers as uneven as they may be; left as it is.
        tokenizer: its own.
        folder: where to; either complete or untouched.
        int8: write the quantised file as well.
        texts: what fixed scales of int8 are found on.
        quantise: writes a file in int8, as :func:`~.files.write_engine_files` has it.

    Raises:
        InputError: no such layout, packages that are not installed, a full disk, a place that cannot be written, or a
            folder that holds something else.
    """
    layout, folder = layout_of(name), Path(folder).absolute()
    check_replaceable(folder)
    with replacing(folder) as part:
        layout.beside(model, tokenizer, part, folder.name)
        file, int8_file = (part / path.format(name=folder.name) for path in (layout.file, layout.int8_file))
        file.parent.mkdir(parents=True, exist_ok=True)
        layout.runs.export(model, file)
        if int8:
            int8_file.parent.mkdir(parents=True, exist_ok=True)
            (quantise or partial(plain_int8, texts))(EngineFile(layout.engine, int8=True), file, int8_file)
        write_record(part, record_of(part, "stock", {}))


def layout_of(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        InputError: there is no such one.
    """
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]


def _configuration(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, name: str) -> None:
    with quiet(progress=False):
        plain_config(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _model_repository(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path, name: str) -> None:
    """Two models of Triton's share the tokens beside them, which clients need: the server itself reads numbers."""
    _configuration(model, tokenizer, folder / "tokenizer", name)


_ONNX = "onnx/model.onnx", "onnx/model_quantized.onnx"  # as programs of the hub name them
LAYOUTS: dict[str, Layout] = {
    "onnx": Layout("Optimum's ORTModel classes, and programs that read the hub", "onnxruntime", *_ONNX, _configuration),
    "transformers-js": Layout("Transformers.js in browsers and Node", "onnxruntime", *_ONNX, _configuration),
    "tei": Layout("Text Embeddings Inference", "onnxruntime", *_ONNX, _configuration),
    "openvino": Layout(
        "Optimum Intel's OVModel classes, OpenVINO's model server",
        "openvino",
        "openvino_model.xml",
        "openvino_model_quantized.xml",
        _configuration,
    ),
    "triton": Layout(
        "Triton's model repository",
        "onnxruntime",
        "{name}/1/model.onnx",
        "{name}-int8/1/model.onnx",
        _model_repository,
    ),
}
