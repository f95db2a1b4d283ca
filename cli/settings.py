"""What each command can be told; field descriptions are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ..evaluation.latency.runtime import RUNTIMES, TORCH
from ..run.settings import (
    CompareSettings,
    ExportSettings,
    ExtractSettings,
    FarmSettings,
    FrontSettings,
    LatencyVerb,
    PickSettings,
    ProjectSettings,
    PruneSettings,
    RecoverOptions,
    SearchSettings,
    StandardSettings,
    TrackingSettings,
    _Settings,
)
from ..supernet.training.settings import FinetuneSettings, SupernetSettings
from .options import ARGUMENT

RunArgument = Annotated[Path, Field(description="the run folder", json_schema_extra=ARGUMENT)]


class OfRun(_Settings):
    """A command on a run."""

    run: RunArgument


class JsonOption(_Settings):
    """A command that can answer in JSON."""

    as_json: Annotated[
        bool, Field(description="print JSON instead of tables", json_schema_extra={"flag": "--json"})
    ] = False


class FinetuneCommand(ProjectSettings, TrackingSettings):
    """Settings of `finetune`."""

    finetune: FinetuneSettings = FinetuneSettings()


class SupernetCommand(TrackingSettings):
    """Settings of `supernet`."""

    run: RunArgument
    supernet: SupernetSettings = SupernetSettings()


class SearchCommand(FarmSettings):
    """Settings of `search`."""

    run: RunArgument
    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()


class LatencyCommand(LatencyVerb):
    """Settings of `latency`."""

    run: RunArgument


class FrontCommand(FrontSettings, JsonOption, OfRun):
    """Settings of `front`."""


class PickCommand(PickSettings, JsonOption, OfRun):
    """Settings of `pick`."""


class PruneCommand(PruneSettings, TrackingSettings):
    """Settings of `prune`."""

    run: RunArgument


class CompareCommand(CompareSettings, JsonOption, OfRun):
    """Settings of `compare`."""


class ReportCommand(_Settings):
    """Settings of `report`."""

    run: RunArgument


class ExtractCommand(ExtractSettings, OfRun):
    """Settings of `extract`."""


class ExportCommand(ExportSettings, JsonOption, OfRun):
    """Settings of `export`."""


class ConvertCommand(_Settings):
    """Settings of `convert`."""

    checkpoint: Annotated[Path, Field(description="the model's folder", json_schema_extra=ARGUMENT)]
    int8: Annotated[
        bool, Field(description="also write model-int8.onnx, quantised", json_schema_extra={"flag": "--int8"})
    ] = False
    opset: Annotated[
        int | None, Field(ge=1, description="version of ONNX's operators; the lowest that does if not given")
    ] = None
    to: Annotated[Path | None, Field(description="the folder of the files; the checkpoint's own if not given")] = None


class RecoverCommand(_Settings):
    """Settings of `recover`."""

    run: RunArgument
    checkpoint: Annotated[
        Path, Field(description="the model's folder, as `extract` wrote it", json_schema_extra=ARGUMENT)
    ]
    recover: RecoverOptions = RecoverOptions()
    to: Annotated[Path | None, Field(description="the folder to write; CHECKPOINT-recovered if not given")] = None


class BenchCommand(_Settings):
    """Settings of `bench`."""

    checkpoints: Annotated[
        list[str], Field(description="folders, or names on the Hugging Face hub", json_schema_extra=ARGUMENT)
    ]
    runtime: Annotated[str, Field(description=f"what runs them, comma-separated: {', '.join(RUNTIMES)}")] = TORCH
    precision: Annotated[str, Field(description="in PyTorch, comma-separated: float32, bfloat16")] = "float32"
    batch_size: Annotated[str, Field(description="texts per batch, comma-separated")] = "1,32"
    sequence_length: Annotated[int, Field(ge=1, description="tokens per text")] = 128
    threads: Annotated[int | None, Field(ge=1, description="threads; all cores if not given")] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="PyTorch's; auto: CUDA if there is one")] = (
        "auto"
    )
    seconds: Annotated[float, Field(gt=0, description="of timing, for each checkpoint and way of serving")] = 3.0
    memory: Annotated[bool, Field(description="also measure the memory of a new process that serves it")] = True
    as_json: Annotated[
        bool, Field(description="print JSON instead of tables", json_schema_extra={"flag": "--json"})
    ] = False


class RunCommand(ProjectSettings, FarmSettings, TrackingSettings):
    """Settings of `run`: all stages."""

    finetune: FinetuneSettings = FinetuneSettings()
    supernet: SupernetSettings = SupernetSettings()
    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()


def fields_of(settings: BaseModel, model: type[BaseModel]) -> dict[str, Any]:
    """Return the fields of a verb's settings that a command was given, as keywords."""
    return {name: getattr(settings, name) for name in settings.model_fields_set & set(model.model_fields)}
