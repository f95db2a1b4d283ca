"""The files of other engines beside a checkpoint, and how far those in int8 are from the model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from transformers import PreTrainedModel

from ...tasks.batches import Batch
from ..stored.record import read_record, record_of, write_record
from .checkpoint import write_card
from .engines import ENGINES, Engine
from .model_card import read_facts
from .onnx import compared
from .session import FileModel

IN_INT8 = "In int8"  # title of the card's section
_INT8 = {
    "onnxruntime": (
        "suits every processor. Its weights take 7 of the 8 bits: without VNNI (AMD before Zen 4,\n"
        "Intel before Cascade Lake) products are added in 16 bits, which weights of 8 bits would overflow."
    ),
    "openvino": "suits every processor: its weights take 7 of the 8 bits. Its scales were found on training texts.",
}
FARTHEST = 0.25
"""What an int8 file may be off by without a warning, see `int8_gap`.

MiniLM and tiny random models of all families and heads are off by 0.04 to 0.21 with weights of 7 bits. With 8 bits the
tiny ones are off by 0.2 to 1.3 on a processor that overflows.
"""
_SIZES = ((1, 1), (3, 7), (2, 24), (8, 24), (8, 16))  # texts and tokens of what is compared


@dataclass(frozen=True)
class EngineFile:
    """A file of a model for an engine, a name of ENGINES; in int8 or in float32."""

    name: str
    int8: bool = False

    @property
    def engine(self) -> Engine:
        """What runs it."""
        return ENGINES[self.name]

    def path(self, folder: Path) -> Path:
        """Return where it lies in a checkpoint's folder."""
        return folder / (self.engine.int8_file if self.int8 else self.engine.file)

    def open(self, folder: Path) -> FileModel:
        """Load it."""
        return self.engine.open(self.path(folder))


Quantise = Callable[[EngineFile, Path, Path], None]


def engine_files(*, onnx: bool, int8: bool, openvino: bool) -> list[EngineFile]:
    """Return the files that are asked for: in int8 for the engines that are, or for ONNX Runtime if none is."""
    engines = {"onnxruntime": onnx or (int8 and not openvino), "openvino": openvino}
    wanted = {"onnxruntime": onnx, "openvino": openvino}
    found = []
    for name in (name for name, asked in engines.items() if asked):
        found += [EngineFile(name)] if wanted[name] else []
        found += [EngineFile(name, int8=True)] if int8 else []
    return found


def write_engine_files(
    model: PreTrainedModel,
    folder: Path,
    files: Sequence[EngineFile],
    *,
    texts: Sequence[Batch] = (),
    opset: int | None = None,
    quantise: Quantise | None = None,
) -> list[Path]:
    """Write a model's files for other engines into a folder; each is there whole or not at all.

    Args:
        model: in any precision; exported in float32.
        folder: made if it is not there; if Secateur wrote a checkpoint there, its card and record take them in.
        files: which.
        texts: what fixed scales of int8 are found on.
        opset: version of ONNX's standard operators.
        quantise: writes a file in int8, given which, the float32 one and where to; its engine, on `texts`, if None.

    Raises:
        InputError: as each engine's `export` and `quantise`.
    """
    written: list[Path] = []
    for name in dict.fromkeys(file.name for file in files):
        engine, plain, int8 = ENGINES[name], EngineFile(name), EngineFile(name, int8=True)
        with tempfile.TemporaryDirectory() as temporary:
            place = folder if plain in files else Path(temporary)
            engine.export(model, plain.path(place), opset=opset)
            written += engine.parts(plain.path(folder)) if plain in files else []
            if int8 in files:
                (quantise or partial(plain_int8, texts))(int8, plain.path(place), int8.path(folder))
                written += engine.parts(int8.path(folder))
    record = read_record(folder)
    if written and record is not None:
        write_record(folder, record_of(folder, record.form, record.card))
        if sections := int8_sections(files):
            facts = read_facts(record.card, folder)
            write_card(folder, replace(facts, sections={**facts.sections, **sections}))
    return written


def plain_int8(texts: Sequence[Batch], file: EngineFile, path: Path, to: Path) -> None:
    """Write a float32 file at `path` all in int8."""
    feed = file.engine.open(path).feed
    file.engine.quantise(path, to, [feed(batch) for batch in texts])


def int8_sections(files: Iterable[EngineFile], more: Mapping[EngineFile, str] = MappingProxyType({})) -> dict[str, str]:
    """Return what a card says of these files in int8, with more of some of them."""
    said = [f"`{file.engine.int8_file}` {_INT8[file.name]} {more.get(file, '')}".strip() for file in files if file.int8]
    return {IN_INT8: "\n\n".join(said)} if said else {}


def int8_gap(model: PreTrainedModel, found: FileModel) -> float:
    """Return by how much an int8 file is off here, on random texts: a share of what the model's outputs vary by.

    Both are root mean squares over texts and outputs, the second about each output's mean. Another processor adds in
    another way, so it may find another gap.

    Args:
        model: what the file was made of, in any precision; left as it is.
        found: the file.
    """
    pairs = list(compared(model, found, _SIZES))
    given, expected = (np.concatenate(side) for side in zip(*pairs, strict=True))
    variance = max(float(expected.var(axis=0).mean()), float(np.finfo(np.float32).tiny))
    return float(np.sqrt(((given - expected) ** 2).mean() / variance))


def too_far(model: PreTrainedModel, file: EngineFile, folder: Path) -> str | None:
    """Return a warning if an int8 file is off by more than `FARTHEST` on this machine."""
    gap = int8_gap(model, file.open(folder))
    if gap <= FARTHEST:
        return None
    return (
        f"{file.path(folder)} differs from the float32 model by {gap:.2f} of what its outputs vary by on random texts, "
        f"where {FARTHEST:g} is usual at most; compare their scores before you serve it, or serve {file.engine.file}"
    )
