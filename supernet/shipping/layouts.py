"""Folders as programs that serve models expect them: each with a plain configuration, whatever its layers keep."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ...errors import InputError, unknown_name
from ...tasks.batches import Batch
from ..heads import ENDINGS, head_of
from ..sentence import ForEmbedding
from ..sentence_head import SentenceHead
from ..stored.record import Written, record_of, write_record
from ..stored.replacing import check_replaceable, replacing
from ..stored.sentences import write_pooling
from ..stored.storage import model_positions, quiet, write_model
from .checkpoint import chosen_form
from .engines import ENGINES, Engine
from .files import EngineFile, Quantise, plain_int8
from .stock import not_stock, plain_config, stock_model

if TYPE_CHECKING:
    from ...tasks.kinds import Head


@dataclass(frozen=True)
class LayoutFile:
    """An engine's file in a folder, and the one in int8.

    Attributes:
        engine: a name of ENGINES.
        path, int8_path: where they lie, `{name}` being the folder's own name.
    """

    engine: str
    path: str
    int8_path: str

    @property
    def runs(self) -> Engine:
        """What runs them."""
        return ENGINES[self.engine]


@dataclass(frozen=True)
class Layout:
    """A folder as some programs expect it.

    Attributes:
        readers: the programs.
        files: of engines, which it has.
        beside: writes what else there is, given the model, its tokenizer and the folder; returns the form of it.
        heads: of models that the programs read.
        states: they make vectors of an encoder's states themselves.
    """

    readers: str
    files: tuple[LayoutFile, ...]
    beside: Callable[[PreTrainedModel, PreTrainedTokenizerBase, Path], Written]
    heads: tuple[Head, ...] = tuple(ENDINGS)
    states: bool = False

    def check_installed(self, *, int8: bool) -> None:
        """Raise InputError if a package that is needed is not installed."""
        for file in self.files:
            file.runs.check_installed(int8=int8)


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
        InputError: no such layout, a head that its programs do not read, packages that are not installed, a full disk,
            a place that cannot be written, or a folder that holds something else.
    """
    layout, folder = layout_of(name), Path(folder).absolute()
    check_readable(name, model)
    check_replaceable(folder)
    with replacing(folder) as part:
        form = layout.beside(model, tokenizer, part)
        for file in layout.files:
            plain, quantised = (part / path.format(name=folder.name) for path in (file.path, file.int8_path))
            plain.parent.mkdir(parents=True, exist_ok=True)
            file.runs.export(model, plain, states=layout.states)
            if int8:
                quantised.parent.mkdir(parents=True, exist_ok=True)
                (quantise or partial(plain_int8, texts))(EngineFile(file.engine, int8=True), plain, quantised)
        write_record(part, record_of(part, form, {}))


def layout_of(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        InputError: there is no such one.
    """
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]


def check_readable(name: str, model: PreTrainedModel) -> None:
    """Raise InputError if the programs that a layout is for cannot read a model."""
    layout, head = layout_of(name), head_of(model)
    if head not in layout.heads:
        others = ", ".join(other for other, one in LAYOUTS.items() if head in one.heads)
        raise InputError(
            f"{name} reads models for {' and '.join(layout.heads)}, and this one is for {head}; choose one of the "
            f"layouts {others}"
        )


def _configuration(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Written:
    """Of a model for embedding also how texts are read, though the file gives vectors: some programs ask for it."""
    with quiet(progress=False):
        plain_config(model).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    if isinstance(model, ForEmbedding):
        head = SentenceHead.of(model.encoder.config)
        write_pooling(head, head.width, folder)
    _describe(model, tokenizer, folder)
    return "stock"


def _model_repository(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Written:
    """Two models of Triton's share the tokens beside them, which clients need: the server itself reads numbers."""
    return _configuration(model, tokenizer, folder / "tokenizer")


def _sentence_transformers(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> Written:
    """A checkpoint, which PyTorch runs.

    Where it needs code, plain configurations lie beside the files of the engines, which need none.
    """
    form = chosen_form(model, "stock" if not_stock(model) is None else "portable")
    write_model(stock_model(model) if form == "stock" else model, tokenizer, folder)
    _describe(model, tokenizer, folder)
    if form != "stock":
        with quiet(progress=False):
            for path in (_ONNX.path, _OPENVINO.path):
                plain_config(model).save_pretrained((folder / path).parent)
    for path in folder.rglob("config.json"):
        _state_activation(path)
    return form


def _state_activation(path: Path) -> None:
    """Say that a regression's number stays as it is: CrossEncoder takes the sigmoid of one output unless told."""
    config = json.loads(path.read_bytes())
    if config.get("problem_type") == "regression":
        config.setdefault("sentence_transformers", {}).setdefault("activation_fn", "torch.nn.modules.linear.Identity")
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _describe(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Say of a tokenizer what transformers 4 and other programs would take for granted otherwise than transformers 5.

    One that is its tokenizer.json has a class whose name only the latter knows; one without token types would get them.
    One without a longest text has the model's.
    """
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_bytes()) | {"model_input_names": list(tokenizer.model_input_names)}
    config["model_max_length"] = min(int(tokenizer.model_max_length), model_positions(model.config))
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


_ONNX = LayoutFile("onnxruntime", "onnx/model.onnx", "onnx/model_quantized.onnx")  # as programs of the hub name them
_OPENVINO = LayoutFile(
    "openvino", "openvino/openvino_model.xml", "openvino/openvino_model_qint8_quantized.xml"
)  # as sentence-transformers does
LAYOUTS: dict[str, Layout] = {
    "onnx": Layout("Optimum's ORTModel classes, and programs that read the hub", (_ONNX,), _configuration),
    "transformers-js": Layout("Transformers.js in browsers and Node", (_ONNX,), _configuration),
    "tei": Layout("Text Embeddings Inference", (_ONNX,), _configuration),
    "sentence-transformers": Layout(
        "sentence-transformers' SentenceTransformer and CrossEncoder, with the backends torch, onnx and openvino",
        (_ONNX, _OPENVINO),
        _sentence_transformers,
        heads=("embedding", "sequence-classification"),
        states=True,
    ),
    "openvino": Layout(
        "Optimum Intel's OVModel classes, OpenVINO's model server",
        (LayoutFile("openvino", "openvino_model.xml", "openvino_model_quantized.xml"),),
        _configuration,
    ),
    "triton": Layout(
        "Triton's model repository",
        (LayoutFile("onnxruntime", "{name}/1/model.onnx", "{name}-int8/1/model.onnx"),),
        _model_repository,
    ),
}
