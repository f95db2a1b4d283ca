"""What each command can be told; field descriptions are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from ..pruners import PRUNERS
from ..pruners.block_lasso import BlockLassoSettings
from ..pruners.cofi import CoFiSettings
from ..pruners.deepcuts import DeepCutsSettings
from ..searchers import AUTO, SEARCHERS
from ..supernet.settings import FinetuneSettings, Precision, SupernetSettings
from .options import ARGUMENT

Weights = Literal["supernet", "standard", "finetuned", "supernet-pruned", "recovered", "native"]
RunArgument = Annotated[Path, Field(description="the run folder", json_schema_extra=ARGUMENT)]


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProjectSettings(_Settings):
    """What a run is about; the same for all its stages, and kept in its run.json."""

    model: Annotated[
        str, Field(description="a folder or a hub name; `demo` is the MiniLM that comes with secateur[demo]")
    ]
    task: Annotated[
        str,
        Field(
            description="demo; a GLUE task: cola, sst2, mrpc, qqp, stsb, mnli, ...; squad or squad_v2; local (texts to "
            "classify or rate); tagging (words to tag)"
        ),
    ]
    out: Annotated[Path, Field(description="the run folder, made if it is not there")]
    data: Annotated[
        Path | None, Field(description="read this folder (or file, for `local` and `tagging`) instead of the hub")
    ] = None
    text_column: Annotated[
        str | None, Field(description="local files: the column of texts (text), or of a sentence's words (tokens)")
    ] = None
    text_pair_column: Annotated[str | None, Field(description="local files: the column of second texts")] = None
    label_column: Annotated[
        str | None, Field(description="local files: the column of labels (label), or of the words' tags (ner_tags)")
    ] = None
    kind: Annotated[
        Literal["classification", "regression"] | None, Field(description="local files: told, not guessed")
    ] = None
    metric: Annotated[
        str | None,
        Field(
            description="not the usual one: accuracy, f1, matthews, pearson, spearman for local files; squad_f1, "
            "exact_match; entity_f1, token_accuracy"
        ),
    ] = None
    window_length: Annotated[
        int | None, Field(ge=1, description="tokens of a question with a piece of its context; 384 if not given")
    ] = None
    window_stride: Annotated[
        int | None, Field(ge=0, description="tokens that the pieces of a long context share; a third of the length")
    ] = None
    train_limit: Annotated[int | None, Field(ge=1, description="train on so many rows, drawn by the seed")] = None
    selection_fraction: Annotated[
        float, Field(gt=0, lt=1, description="share of train held out for the search to choose on")
    ] = 0.2
    selection_limit: Annotated[int, Field(ge=1, description="at most so many rows of it")] = 2048
    seed: Annotated[int, Field(ge=0, description="of splits, training and search")] = 0


def _length(value: object) -> object:
    if value is None or value == "task" or (str(value).isdecimal() and int(str(value)) > 0):
        return None if value is None else str(value)
    raise ValueError("expected a number of tokens above 0, or `task`")


class LatencySettings(_Settings):
    """The machine a subnetwork is to run on: this one, used in a certain way."""

    threads: Annotated[int | None, Field(ge=1, description="threads; all cores if not given")] = None
    batch_size: Annotated[int, Field(ge=1, description="texts per batch")] = 1
    sequence_length: Annotated[
        str | None,
        BeforeValidator(_length),
        Field(description="tokens per text, or `task`: its texts' lengths; 128, or the model's positions if fewer"),
    ] = None
    precision: Annotated[
        Literal["float32", "bfloat16", "fp32", "bf16"],
        AfterValidator(lambda name: {"fp32": "float32", "bf16": "bfloat16"}.get(name, name)),
        Field(description="the served model's"),
    ] = "float32"
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto: CUDA where there is one")] = "auto"
    runtime: Annotated[str, Field(description="what runs the model: pytorch")] = "pytorch"


class SearchSettings(_Settings):
    """How the search goes."""

    searcher: Annotated[
        str,
        AfterValidator(lambda name: AUTO if name == "auto" else name),
        Field(description=f"auto ({AUTO}), {', '.join(SEARCHERS)}", validate_default=True),
    ] = "auto"
    budget: Annotated[int, Field(ge=1, description="points to evaluate; other depths of a point come for free")] = 200
    objectives: Annotated[
        str,
        Field(description="comma-separated: error, parameters, encoder_parameters, macs, latency, memory, disk_mb"),
    ] = "error,encoder_parameters"
    sampling: Annotated[
        Literal["size", "paper"], Field(description="where a searcher needs random points: uniform in size, or not")
    ] = "size"
    warm_start: Annotated[
        int,
        Field(
            ge=0,
            description="begin with so many uniform cuts, the first heads and neurons of every layer, of all sizes",
        ),
    ] = 0
    precision: Annotated[Precision, Field(description="precision of the evaluations")] = "auto"
    racing: Annotated[
        bool, Field(description="stop evaluating what is certain not to reach the front; its error is estimated")
    ] = False
    prefix_mb: Annotated[
        int, Field(ge=0, description="memory for hidden states of first layers that subnetworks share; 0 is off")
    ] = 1024
    latency: LatencySettings = LatencySettings()


class StandardSettings(_Settings):
    """How standard NAS (the searcher `moasha`) trains each candidate."""

    epochs: Annotated[int, Field(ge=1, description="most passes over the training split that a candidate gets")] = 5
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 5e-5
    batch_size: Annotated[int, Field(ge=1, description="texts per optimiser step")] = 32
    save_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints for resuming")] = 60.0


class FarmSettings(_Settings):
    """Where a search's evaluations run; by default here, one after another. It does not change what is searched."""

    workers: Annotated[int | None, Field(ge=1, description="evaluate on so many processes of this machine")] = None
    scheduler: Annotated[
        str | None, Field(description="evaluate on a Dask cluster, the address of its scheduler: tcp://HOST:8786")
    ] = None
    latency_tag: Annotated[
        str | None, Field(description="measure latencies on the cluster's worker with this resource, not here")
    ] = None


class FinetuneCommand(ProjectSettings):
    """Settings of `finetune`."""

    finetune: FinetuneSettings = FinetuneSettings()


class SupernetCommand(_Settings):
    """Settings of `supernet`."""

    run: RunArgument
    supernet: SupernetSettings = SupernetSettings()


class SearchCommand(FarmSettings):
    """Settings of `search`."""

    run: RunArgument
    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()


class LatencyCommand(LatencySettings):
    """Settings of `latency`."""

    run: RunArgument
    seconds: Annotated[float, Field(gt=0, description="about so long it may take")] = 50.0
    again: Annotated[
        bool, Field(description="measure although there is a table", json_schema_extra={"flag": "--again"})
    ] = False


class FrontCommand(_Settings):
    """Settings of `front`."""

    run: RunArgument
    shares: Annotated[
        str | None,
        Field(description="only the whole network and the best within such shares of its cost: 3/4,1/2,1/4,0.1"),
    ] = None
    against: Annotated[
        Literal["encoder_parameters", "parameters", "macs", "latency_ms", "nonzero"],
        Field(
            description="the objective beside the error; nonzero: the share of weights left by a method that makes "
            "zeros"
        ),
    ] = "encoder_parameters"
    weights: Annotated[
        Weights | None,
        Field(
            description="only models with these: the supernet's, or their own of standard NAS (a search has both); "
            "pruned without training, after the recovery that all methods get, or by a method's native recipe"
        ),
    ] = None
    as_json: Annotated[
        bool, Field(description="print JSON instead of a table", json_schema_extra={"flag": "--json"})
    ] = False


class Budgets(_Settings):
    """Limits that a subnetwork must keep."""

    latency_ms: Annotated[float | None, Field(gt=0, description="at most so many milliseconds")] = None
    memory_mb: Annotated[float | None, Field(gt=0, description="at most so many MB of the process at its peak")] = None
    disk_mb: Annotated[float | None, Field(gt=0, description="at most so many MB of weights on disk")] = None
    parameters: Annotated[float | None, Field(gt=0, description="at most so many parameters in all")] = None
    encoder_parameters: Annotated[float | None, Field(gt=0, description="at most so many in the encoder")] = None
    macs: Annotated[float | None, Field(gt=0, description="at most so many multiply-accumulates")] = None
    error: Annotated[float | None, Field(gt=0, description="at most this error on the selection split")] = None


class PickCommand(Budgets):
    """Settings of `pick`."""

    run: RunArgument
    as_measured: Annotated[
        bool,
        Field(
            description="answer from the numbers in the archive, whatever machine they are of; measure nothing",
            json_schema_extra={"flag": "--as-measured"},
        ),
    ] = False
    as_json: Annotated[
        bool, Field(description="print JSON instead of a table", json_schema_extra={"flag": "--json"})
    ] = False


class PruneSettings(_Settings):
    """How subnetworks are pruned."""

    method: Annotated[str, Field(description=f"one or several, comma-separated: {', '.join(PRUNERS)}")]
    density: Annotated[str, Field(description="shares to keep, comma-separated: 0.9,0.6")]
    cost: Annotated[
        Literal["encoder_parameters", "macs", "latency_ms"], Field(description="what a density is a share of")
    ] = "encoder_parameters"
    seed: Annotated[int | None, Field(ge=0, description="of all that is random; the run's if not given")] = None
    origin: Annotated[
        Literal["finetuned", "supernet"],
        Field(description="the model that is pruned", json_schema_extra={"flag": "--from"}),
    ] = "finetuned"
    texts: Annotated[
        int | None,
        Field(ge=1, description="let the methods see only so many texts of the training split, drawn by the seed"),
    ] = None
    cofi: CoFiSettings = CoFiSettings()
    block_lasso: BlockLassoSettings = BlockLassoSettings()
    deepcuts: DeepCutsSettings = DeepCutsSettings()


class PruneCommand(PruneSettings):
    """Settings of `prune`."""

    run: RunArgument


class CompareCommand(_Settings):
    """Settings of `compare`."""

    run: RunArgument
    densities: Annotated[
        str | None,
        Field(description="budgets, shares of the encoder's parameters; those that were pruned at if not given"),
    ] = None
    recover: Annotated[
        float | None,
        Field(
            gt=0,
            description="train the models within these budgets, of every method, for so many epochs of distillation",
        ),
    ] = None
    as_json: Annotated[
        bool, Field(description="print JSON instead of tables", json_schema_extra={"flag": "--json"})
    ] = False


class ExtractCommand(Budgets):
    """Settings of `extract`."""

    run: RunArgument
    key: Annotated[str | None, Field(description="the subnetwork's key, as `front` prints it")] = None
    weights: Annotated[
        Weights | None, Field(description="with which weights; of a key that was evaluated with both, the supernet's")
    ] = None
    method: Annotated[str | None, Field(description="of a pruned model: by which method")] = None
    density: Annotated[float | None, Field(gt=0, description="of a pruned model: the density asked for")] = None
    to: Annotated[Path | None, Field(description="the folder to write; RUN/subnets/KEY if not given")] = None


class RunCommand(ProjectSettings, FarmSettings):
    """Settings of `run`: all stages."""

    finetune: FinetuneSettings = FinetuneSettings()
    supernet: SupernetSettings = SupernetSettings()
    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()
