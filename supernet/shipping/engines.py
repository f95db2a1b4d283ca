"""Programs other than PyTorch that run models, from files, on the CPU."""

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

from transformers import PreTrainedModel

from ...tasks.batches import Batch
from . import onnx, openvino
from .needed import needed
from .onnx import random_batches
from .session import Feed, FileModel, OnnxModel

MOST_TEXTS = 300  # that fixed scales of int8 are found on; NNCF's own number
_TEXTS = tuple((1, tokens) for tokens in (16, 24, 32, 8))  # random ones, where scales need no more than to be there


class Engine(ABC):
    """A program that runs models from files.

    Attributes:
        title: for people.
        file, int8_file: what a checkpoint's folder calls its files.
        packages: what must be installed.
        int8_packages: what must be besides, to quantise.
    """

    title: ClassVar[str]
    file: ClassVar[str]
    int8_file: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    int8_packages: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def open(self, path: Path, *, threads: int | None = None) -> FileModel:
        """Load a file."""

    @abstractmethod
    def export(self, model: PreTrainedModel, path: Path, *, opset: int | None = None, states: bool = False) -> None:
        """Write a model in float32, and check that it gives the same.

        Args:
            model: of a supported family, extracted or not, with a head; left as it is.
            path: the file.
            opset: version of ONNX's standard operators, for engines whose files are ONNX.
            states: of a model for embedding, also give its encoder's states.
        """

    @abstractmethod
    def write(self, model: PreTrainedModel, path: Path) -> None:
        """Write it unchecked, in little time."""

    @abstractmethod
    def quantise(self, path: Path, to: Path, texts: Sequence[Feed], *, in_float: Collection[str] = ()) -> None:
        """Write a float32 file in int8.

        Args:
            path: the file.
            to: the file to write.
            texts: what scales are for, where they are for texts.
            in_float: of `maps`, what stays in float32.
        """

    @abstractmethod
    def maps(self, path: Path) -> list[tuple[str, ...]]:
        """Return the operations of a float32 file that are quantised, by name; those that belong together as one."""

    def parts(self, path: Path) -> list[Path]:
        """Return the files that a file consists of, itself first."""
        return [path]

    def check_installed(self, *, int8: bool) -> None:
        """Raise InputError if a package that is needed is not installed."""
        for package in (*self.packages, *(self.int8_packages if int8 else ())):
            needed(package)

    def opened(
        self, model: PreTrainedModel, *, int8: bool, threads: int | None = None, texts: Sequence[Batch] = ()
    ) -> FileModel:
        """Return a model as the engine runs it, without keeping a file or comparing the two.

        Args:
            model: of a supported family, extracted or not, with a head; left as it is.
            int8: quantise it.
            threads: all cores if None.
            texts: what scales are for; random ones if there are none, which will do where only time matters.

        Raises:
            InputError: another family or head, or packages that are not installed.
        """
        with tempfile.TemporaryDirectory() as folder:
            return self.open(self.written(model, Path(folder), int8=int8, texts=texts), threads=threads)

    def written(self, model: PreTrainedModel, folder: Path, *, int8: bool, texts: Sequence[Batch] = ()) -> Path:
        """Write a model into a folder, unchecked, and return the file that is to be opened; see :meth:`opened`."""
        self.write(model, path := folder / self.file)
        if int8:
            found = self.open(path)
            feeds = [found.feed(batch) for batch in texts or random_batches(model, _TEXTS)]
            self.quantise(path, path := folder / self.int8_file, feeds)
        return path


class OnnxRuntime(Engine):
    """ONNX Runtime, whose int8 finds the scales of what flows between maps in every pass anew."""

    title, file, int8_file = "ONNX Runtime", "model.onnx", "model-int8.onnx"
    packages = "onnx", "onnxruntime"

    def open(self, path: Path, *, threads: int | None = None) -> FileModel:
        """Load a file."""
        return OnnxModel(path, threads=threads)

    def export(self, model: PreTrainedModel, path: Path, *, opset: int | None = None, states: bool = False) -> None:
        """Write a model in float32, and check that it gives the same."""
        onnx.export_onnx(model, path, opset=opset, states=states)

    def write(self, model: PreTrainedModel, path: Path) -> None:
        """Write it unchecked, in little time."""
        onnx.write_onnx(model, path)

    def quantise(self, path: Path, to: Path, texts: Sequence[Feed], *, in_float: Collection[str] = ()) -> None:
        """Write a float32 file in int8; texts are not needed."""
        onnx.quantize_onnx(path, to, in_float=in_float)

    def maps(self, path: Path) -> list[tuple[str, ...]]:
        """Return the operations of a float32 file that are quantised."""
        return onnx.onnx_maps(path)


class OpenVino(Engine):
    """OpenVINO, whose int8 has fixed scales, found on texts."""

    title, file, int8_file = "OpenVINO", "openvino_model.xml", "openvino_model-int8.xml"
    packages, int8_packages = ("onnx", "openvino"), ("nncf",)

    def open(self, path: Path, *, threads: int | None = None) -> FileModel:
        """Load a file."""
        return openvino.OpenVinoModel(path, threads=threads)

    def export(self, model: PreTrainedModel, path: Path, *, opset: int | None = None, states: bool = False) -> None:
        """Write a model in float32, and check that it gives the same."""
        openvino.export_openvino(model, path, states=states)

    def write(self, model: PreTrainedModel, path: Path) -> None:
        """Write it unchecked, in little time."""
        openvino.write_openvino(model, path)

    def parts(self, path: Path) -> list[Path]:
        """Return the description and the weights."""
        return [path, openvino.weights_file(path)]

    def quantise(self, path: Path, to: Path, texts: Sequence[Feed], *, in_float: Collection[str] = ()) -> None:
        """Write a float32 file in int8, with scales for these texts."""
        openvino.quantize_openvino(path, to, texts, in_float=in_float)

    def maps(self, path: Path) -> list[tuple[str, ...]]:
        """Return the operations of a float32 file that are quantised."""
        return openvino.openvino_maps(path)


ENGINES: dict[str, Engine] = {"onnxruntime": OnnxRuntime(), "openvino": OpenVino()}
