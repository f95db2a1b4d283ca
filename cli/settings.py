"""What each command can be told; field descriptions are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..searchers import SEARCHERS
from ..supernet.settings import FinetuneSettings, Precision, SupernetSettings
from .options import ARGUMENT

RunArgument = Annotated[Path, Field(description="the run folder", json_schema_extra=ARGUMENT)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectSettings(_Settings):
    """What a run is about; the same for all its stages, and kept in its run.json."""

    model: Annotated[
        str, Field(description="a folder or a hub name; `demo` is the MiniLM that comes with secateur[demo]")
    ]
    task: Annotated[str, Field(description="demo, local, or a GLUE task: cola, sst2, mrpc, qqp, stsb, mnli, ...")]
    out: Annotated[Path, Field(description="the run folder, made if it is not there")]
    data: Annotated[Path | None, Field(description="read this folder (or file, for `local`) instead of the hub")] = None
    text_column: Annotated[str, Field(description="local files: the column of texts")] = "text"
    text_pair_column: Annotated[str | None, Field(description="local files: the column of second texts")] = None
    label_column: Annotated[str, Field(description="local files: the column of labels")] = "label"
    kind: Annotated[
        Literal["classification", "regression"] | None, Field(description="local files: told, not guessed")
    ] = None
    metric: Annotated[str | None, Field(description="local files: accuracy, f1, matthews, pearson or spearman")] = None
    train_limit: Annotated[int | None, Field(ge=1, description="train on so many rows, drawn by the seed")] = None
    selection_fraction: Annotated[
        float, Field(gt=0, lt=1, description="share of train held out for the search to choose on")
    ] = 0.2
    selection_limit: Annotated[int, Field(ge=1, description="at most so many rows of it")] = 2048
    seed: Annotated[int, Field(ge=0, description="of splits, training and search")] = 0


class LatencySettings(_Settings):
    """The machine a subnetwork is to run on: this one, used in a certain way."""

    threads: Annotated[int | None, Field(ge=1, description="threads; all cores if not given")] = None
    batch_size: Annotated[int, Field(ge=1, description="texts per batch")] = 1
    sequence_length: Annotated[
        int | None, Field(ge=1, description="tokens per text; 128, or the model's positions if those are fewer")
    ] = None
    precision: Annotated[Literal["float32", "bfloat16"], Field(description="the served model's")] = "float32"


class SearchSettings(_Settings):
    """How the search goes."""

    searcher: Annotated[str, Field(description=", ".join(SEARCHERS))] = "nsga2"
    budget: Annotated[int, Field(ge=1, description="points to evaluate; other depths of a point come for free")] = 200
    objectives: Annotated[
        str, Field(description="comma-separated: error, parameters, encoder_parameters, macs, latency_ms")
    ] = "error,encoder_parameters"
    sampling: Annotated[
        Literal["size", "paper"], Field(description="where a searcher needs random points: uniform in size, or not")
    ] = "size"
    precision: Annotated[Precision, Field(description="precision of the evaluations")] = "auto"
    latency: LatencySettings = LatencySettings()


class FinetuneCommand(ProjectSettings):
    """Settings of `finetune`."""

    finetune: FinetuneSettings = FinetuneSettings()


class SupernetCommand(_Settings):
    """Settings of `supernet`."""

    run: RunArgument
    supernet: SupernetSettings = SupernetSettings()


class SearchCommand(_Settings):
    """Settings of `search`."""

    run: RunArgument
    search: SearchSettings = SearchSettings()


class FrontCommand(_Settings):
    """Settings of `front`."""

    run: RunArgument
    shares: Annotated[
        str | None,
        Field(description="only the whole network and the best within such shares of its cost: 3/4,1/2,1/4,0.1"),
    ] = None
    against: Annotated[
        Literal["encoder_parameters", "parameters", "macs", "latency_ms"],
        Field(description="the objective beside the error"),
    ] = "encoder_parameters"
    as_json: Annotated[
        bool, Field(description="print JSON instead of a table", json_schema_extra={"flag": "--json"})
    ] = False


class Budgets(_Settings):
    """Limits that a subnetwork must keep."""

    latency_ms: Annotated[float | None, Field(gt=0, description="at most so many milliseconds")] = None
    parameters: Annotated[float | None, Field(gt=0, description="at most so many parameters in all")] = None
    encoder_parameters: Annotated[float | None, Field(gt=0, description="at most so many in the encoder")] = None
    macs: Annotated[float | None, Field(gt=0, description="at most so many multiply-accumulates")] = None
    error: Annotated[float | None, Field(gt=0, description="at most this error on the selection split")] = None


class PickCommand(Budgets):
    """Settings of `pick`."""

    run: RunArgument


class ExtractCommand(Budgets):
    """Settings of `extract`."""

    run: RunArgument
    key: Annotated[str | None, Field(description="the subnetwork's key, as `front` prints it")] = None
    to: Annotated[Path | None, Field(description="the folder to write; RUN/subnets/KEY if not given")] = None


class RunCommand(ProjectSettings):
    """Settings of `run`: all stages."""

    finetune: FinetuneSettings = FinetuneSettings()
    supernet: SupernetSettings = SupernetSettings()
    search: SearchSettings = SearchSettings()
