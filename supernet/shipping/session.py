"""A model in a file, run by another program than PyTorch, on the CPU."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.utils.generic import ModelOutput

from ...errors import InputError
from ...tasks.batches import Batch
from ..heads import read_outputs
from ..sentence import VECTOR
from .graph import IDS, MASK, TYPES
from .needed import needed

Feed = Mapping[str, NDArray[np.int64]]
_NO_WAITING = "session.force_spinning_stop"
_ONLY_RAISED = 4  # the log level at which an error is raised and not printed as well


class FileModel(ABC):
    """A loaded file.

    Attributes:
        inputs: names of what a pass is given.
    """

    inputs: tuple[str, ...]

    def feed(self, batch: Batch) -> Feed:
        """Return what a pass over a batch is given: int64 `(B, T)` each."""
        given = {name: tensor.cpu().numpy() for name, tensor in batch.inputs.items() if name in self.inputs}
        return given if set(given) == set(self.inputs) else given | {TYPES: np.zeros_like(given[IDS])}

    @abstractmethod
    def run(self, feed: Feed) -> ModelOutput:
        """Make a pass; what it gives has transformers' names."""

    def __call__(self, **inputs: Any) -> ModelOutput:
        """Make a pass as a model of transformers does: `model(**tokenizer(texts, padding=True, return_tensors="pt"))`.

        Args:
            **inputs: integers `(B, T)`, tensors or arrays: `input_ids`; `attention_mask`, ones if it is not given, and
                `token_type_ids`, zeros; what the file has no use for is left out.

        Raises:
            InputError: no `input_ids`.
        """
        if IDS not in inputs:
            raise InputError(f"a pass needs {IDS}, got {', '.join(inputs) or 'nothing'}; give what the tokenizer gives")
        given = {name: np.asarray(values, np.int64) for name, values in inputs.items() if name in self.inputs}
        usual = {MASK: np.ones_like(given[IDS]), TYPES: np.zeros_like(given[IDS])}
        return self.run({name: given.get(name, usual.get(name)) for name in self.inputs})

    def outputs(self, batch: Batch) -> NDArray[np.float32]:
        """Return a batch's outputs `(R, C)`, of each text or of each real token, text after text."""
        return read_outputs(self.run(self.feed(batch)), batch.attention_mask).numpy()


class OnnxModel(FileModel):
    """One that ONNX Runtime runs; all of its graph optimisations are on.

    Args:
        path: a file that :func:`~secateur.supernet.shipping.onnx.export_onnx` or `quantize_onnx` wrote, or one with the
            same inputs and outputs.
        threads: within an operator; all cores if None.

    Raises:
        InputError: no onnxruntime here, no such file, a damaged one, one of a version that this ONNX Runtime lacks, or
            one with other inputs or outputs.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        runtime = needed("onnxruntime")
        check_there(path, "an ONNX file, as `secateur convert` writes it")
        options = runtime.SessionOptions()
        options.log_severity_level = _ONLY_RAISED
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.intra_op_num_threads = threads or 0
        # Else its threads go on waiting busily after a pass, and whatever runs next on their cores takes twice as long.
        options.add_session_config_entry(_NO_WAITING, "1")
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no parent of their own
            raise InputError(_refusal(path, str(error), runtime.__version__)) from error
        self.inputs = tuple(one.name for one in self._session.get_inputs())
        self._names = [one.name for one in self._session.get_outputs()]
        check_text_model(path, self.inputs, self._names)

    def run(self, feed: Feed) -> ModelOutput:
        """Make a pass; what it gives has transformers' names."""
        found = self._session.run(None, dict(feed))
        return ModelOutput({name: torch.from_numpy(values) for name, values in zip(self._names, found, strict=True)})


def check_there(path: Path, expected: str) -> None:
    """Raise InputError if there is no file."""
    if not Path(path).is_file():
        raise InputError(f"there is no file {str(path)!r}; give {expected}")


def check_text_model(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise InputError if a file's inputs or outputs are not a text model's."""
    if not {IDS, MASK} <= set(inputs) <= {IDS, MASK, TYPES} or not {"logits", "start_logits", VECTOR} & {*outputs}:
        raise InputError(
            f"{path} turns {', '.join(inputs)} into {', '.join(outputs)}; expected a text model with "
            f"input_ids and attention_mask, and logits, start_logits and end_logits, or {VECTOR}"
        )


def _refusal(path: Path, reason: str, version: str) -> str:
    if "opset" in reason or "IR version" in reason:
        return (
            f"{path} is in a version of ONNX that onnxruntime {version} does not run; export it with a lower opset, or "
            "install a newer onnxruntime"
        )
    reason = " ".join(reason.partition("failed:")[2].split())[:200]
    return f"{path} is damaged or no ONNX model ({reason}); export it again"
