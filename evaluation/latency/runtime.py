"""What runs served models: names, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

TORCH, ONNXRUNTIME, INT8 = "torch", "onnxruntime", "onnxruntime-int8"
OPENVINO, OPENVINO_INT8 = "openvino", "openvino-int8"

PRECISIONS = {"float32": 4, "bfloat16": 2, "float16": 2}
"""What PyTorch serves models in, and the bytes of a number."""
SHORT_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


@dataclass(frozen=True)
class Runtime:
    """A way of running models; called, it opens what times one.

    Attributes:
        title: for people.
        timer: `module:function`, imported when it is called: from a model and a target to the context of a `Timer`.
        engine: what runs a file of the model, on the CPU and in a precision of its own, a name of `ENGINES`
            (`secateur.supernet.shipping.engines`); None runs the model of transformers on the target's device, in the
            target's precision.
        int8: that file is in int8, so that models have an error after quantisation as well.
        base_mb: memory of a process that serves a model, before weights and activations.
        copies: how many times the largest layer's activations there are: allocators and matrix libraries keep about as
            much again, and integer products are summed up in 32 bits beside their inputs.
        packs: the encoder's weights are there once more, packed for its products.
        loading: bytes that an engine needs for each number of the table of words while it loads it, and no longer.
    """

    title: str
    timer: str
    engine: str | None = None
    int8: bool = False
    base_mb: float = 385.0  # one that has imported torch and transformers and run a model; torch 2.13 on Linux
    copies: float = 2.0
    packs: bool = False
    loading: float = 0.0

    def __call__(self, model: Any, target: Any) -> Any:
        """Open what times a model as a target has it."""
        module, _, name = self.timer.partition(":")
        return getattr(import_module(module), name)(model, target)

    @property
    def restricts(self) -> dict[str, str]:
        """What a target of this runtime must be; empty if it is free."""
        return {"device": "cpu", "precision": "float32"} if self.engine else {}

    def __str__(self) -> str:
        return f"{self.title}, int8" if self.int8 else self.title

    def served(self, precision: str) -> str:
        """Say what models are served in, given the target's precision."""
        return f"{'int8' if self.int8 else precision}, {self.title}"


_HERE = "secateur.evaluation.latency.runtimes"
_ONNX_MB = 70.0  # a process that has imported onnxruntime 1.31 and numpy only
_OPENVINO_MB = 115.0  # one that has loaded a small model into openvino 2026.4; its import alone takes 60
RUNTIMES: dict[str, Runtime] = {
    TORCH: Runtime("PyTorch", f"{_HERE}:pytorch"),
    ONNXRUNTIME: Runtime(
        "ONNX Runtime", f"{_HERE}:engine", engine="onnxruntime", base_mb=_ONNX_MB, copies=1.8, loading=4
    ),
    INT8: Runtime(
        "ONNX Runtime",
        f"{_HERE}:engine",
        engine="onnxruntime",
        int8=True,
        base_mb=_ONNX_MB,
        copies=3.2,
        packs=True,
        loading=1,
    ),
    OPENVINO: Runtime("OpenVINO", f"{_HERE}:engine", engine="openvino", base_mb=_OPENVINO_MB, copies=0.9, packs=True),
    OPENVINO_INT8: Runtime(
        "OpenVINO",
        f"{_HERE}:engine",
        engine="openvino",
        int8=True,
        base_mb=_OPENVINO_MB,
        copies=1.0,
        packs=True,
        loading=5,
    ),
}
