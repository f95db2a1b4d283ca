"""The machine a model is to run on, and how long measuring it may take."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ...evaluation.latency.runtime import RUNTIMES, SHORT_NAMES, TORCH
from ...supernet.training.settings import MOST
from .base import ALSO, MOST_THREADS, Settings


def _length(value: object) -> object:
    if value is None or value == "task" or (str(value).isdecimal() and int(str(value)) > 0):
        return None if value is None else str(value)
    raise ValueError("expected a number of tokens above 0, or 'task'")


class LatencySettings(Settings):
    """The machine a subnetwork is to run on: this one, used in a certain way."""

    threads: Annotated[int | None, Field(ge=1, le=MOST_THREADS, description="threads; all cores if not given")] = None
    batch_size: Annotated[int, Field(ge=1, le=MOST, description="texts per batch")] = 1
    sequence_length: Annotated[
        str | None,
        BeforeValidator(_length),
        Field(description="tokens per text, or `task`: its texts' lengths; 128, or the model's positions if fewer"),
    ] = None
    precision: Annotated[
        Literal["float32", "bfloat16", "float16", "fp32", "bf16", "fp16"],
        AfterValidator(lambda name: SHORT_NAMES.get(name, name)),
        Field(description="the served model's"),
    ] = "float32"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: CUDA where there is one")] = "auto"
    runtime: Annotated[
        str,
        Field(
            description=f"what runs the model: {', '.join(RUNTIMES)}; ONNX Runtime on the CPU",
            json_schema_extra={ALSO: "runtime"},
        ),
    ] = TORCH


class LatencyVerb(LatencySettings):
    """What `Run.latency` takes."""

    seconds: Annotated[float, Field(gt=0, description="about so long it may take")] = 50.0
    again: Annotated[
        bool, Field(description="measure although there is a table", json_schema_extra={"flag": "--again"})
    ] = False
