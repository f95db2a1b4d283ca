"""Models in OpenVINO's format: in float32, checked against the model, and in int8, calibrated on texts."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.utils.generic import ModelOutput

from ...errors import InputError
from ...files import beside, in_one_line, put, sweep
from .needed import needed
from .onnx import check_outputs, write_onnx
from .session import Feed, FileModel, check_text_model, check_there

_TABLE = 2  # axes of a table of embeddings
# Else a float32 model is computed in bfloat16 wherever the processor can.
_AS_STORED = {"INFERENCE_PRECISION_HINT": "f32"}


class OpenVinoModel(FileModel):
    """One that OpenVINO runs on the CPU, in the precision of its weights on every processor.

    Args:
        path: a file `.xml`, with its weights in the `.bin` beside it, that :func:`export_openvino` or
            :func:`quantize_openvino` wrote; or one with the same inputs and outputs, an ONNX file too.
        threads: all cores if None.

    Raises:
        InputError: no openvino here, no such file, a damaged one, or one with other inputs or outputs.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        core = _core()
        read = _read(core, path)
        self.inputs = tuple(one.get_any_name() for one in read.inputs)
        self._names = [one.get_any_name() for one in read.outputs]
        check_text_model(path, self.inputs, self._names)
        count = {} if threads is None else {"INFERENCE_NUM_THREADS": threads}
        compiled = core.compile_model(read, "CPU", {**_AS_STORED, "PERFORMANCE_HINT": "LATENCY", **count})
        self._request = compiled.create_infer_request()

    def run(self, feed: Feed) -> ModelOutput:
        """Make a pass; what it gives has transformers' names."""
        found = self._request.infer(dict(feed), share_inputs=True)
        return ModelOutput({name: torch.from_numpy(found[name].copy()) for name in self._names})


def export_openvino(model: PreTrainedModel, path: Path, *, states: bool = False) -> None:
    """Write a model as OpenVINO has it, in float32, for any number of texts of any length, and check it.

    Args:
        model: of a supported family, extracted or not, with a head; left as it is.
        path: the file `.xml`; its weights are beside it in `.bin`. What was there is replaced once the new files have
            given the model's outputs on random batches with padding.
        states: of a model for embedding, also give its encoder's states.

    Raises:
        InputError: another family or head, packages that are not installed, outputs that differ by more than 1e-4, a
            full disk or a place that cannot be written.
    """
    with _replaced(path) as part:
        write_openvino(model, part, states=states)
        check_outputs(model, OpenVinoModel(part), "OpenVINO file")


def write_openvino(model: PreTrainedModel, path: Path, *, states: bool = False) -> None:
    """Write the two files as they are, unchecked; arguments and errors are :func:`export_openvino`'s."""
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(model, file := Path(folder) / "model.onnx", states=states)
        needed("openvino").save_model(_read(_core(), file), path, compress_to_fp16=False)


def quantize_openvino(path: Path, to: Path, texts: Sequence[Feed], *, in_float: Collection[str] = ()) -> None:
    """Write a model in int8, weights and what flows between them: scales are found on texts, once.

    Of linear maps weights have a scale for each output, and take 7 of the 8 bits: processors without VNNI add two
    products in 16 bits, which 8 bits would overflow.

    Source: NNCF's post-training quantisation with smoothed activations (Xiao et al., SmoothQuant, ICML 2023).

    Args:
        path: a float32 file, `.xml` or ONNX.
        to: the file `.xml` to write, its weights beside it in `.bin`; replaced if it is there.
        texts: what passes are given, some hundred of the texts that it is going to read.
        in_float: names of operations that stay in float32.

    Raises:
        InputError: packages that are not installed, a damaged file, a full disk or a place that cannot be written.
        ValueError: no texts.
    """
    if not texts:
        raise ValueError("int8 needs texts to find its scales on, got none")
    core, nncf = _core(), _quantiser()
    read = _read(core, path)
    # Corrected biases brought a fine-tuned MiniLM nothing, off by 0.12 of what its outputs vary by either way, and take
    # a small network as long as all the rest.
    settings = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE, disable_bias_correction=True)
    with contextlib.redirect_stdout(io.StringIO()):  # bars of its own
        made = nncf.quantize(
            read,
            nncf.Dataset([dict(one) for one in texts]),
            model_type=nncf.ModelType.TRANSFORMER,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(texts),
            ignored_scope=nncf.IgnoredScope(names=list(in_float)) if in_float else None,
            advanced_parameters=settings,
        )
    with _replaced(to) as part:
        needed("openvino").save_model(made, part, compress_to_fp16=False)


def openvino_maps(path: Path) -> list[tuple[str, ...]]:
    """Return the names of the operations that multiply, or look up, in the order of a pass.

    Those that read the same are together (:func:`.onnx.onnx_maps`). Products of what flows are among them, for NNCF
    quantises these too.
    """
    found: dict[str, list[str]] = {}
    for operation in _read(_core(), path).get_ordered_ops():
        sources = [one.get_source_output().get_node() for one in operation.inputs()]
        stored = [one.get_type_name() == "Constant" for one in sources]
        if operation.get_type_name() == "MatMul" and not all(stored):
            read = sources[stored.index(False)]
        elif operation.get_type_name() == "Gather" and stored[0] and len(sources[0].shape) == _TABLE:
            read = sources[0]
        else:
            continue
        found.setdefault(read.get_friendly_name(), []).append(operation.get_friendly_name())
    return [tuple(names) for names in found.values()]


def weights_file(path: Path) -> Path:
    """Return where the weights of a file `.xml` are."""
    return path.with_suffix(".bin")


def _core() -> Any:
    return needed("openvino").Core()


def _quantiser() -> Any:
    # Without this mark it reports each use to its makers; nobody was asked for that.
    os.environ.setdefault("NNCF_CI", "1")
    nncf = needed("nncf")
    nncf.set_log_level(logging.ERROR)
    return nncf


def _read(core: Any, path: Path) -> Any:
    check_there(path, "an .xml file, as `secateur convert` writes it")
    if path.suffix == ".xml":
        check_there(weights_file(path), f"the weights that belong to {path.name}")
    try:
        return core.read_model(path)
    except Exception as error:  # RuntimeError, of several kinds
        reason = " ".join(str(error).split())[-200:]
        raise InputError(f"{path} is damaged or no OpenVINO model ({reason}); export it again") from error


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """Yield where to write the two files of a model, which then take the place of those at `path`.

    They belong together: the old description goes first and the new one comes last, so that whoever is killed between
    leaves none, and no description beside another one's weights.
    """
    path = Path(path).absolute()
    folder = beside(path, "part")
    with in_one_line(path):
        folder.mkdir(parents=True)
        try:
            yield (part := folder / path.name)
            path.unlink(missing_ok=True)
            put(weights_file(part), weights_file(path))
            put(part, path)
        finally:
            sweep(path)
