"""What each stage and verb can be told; field descriptions are the help texts."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from ..errors import InputError
from ..evaluation.evaluation import NONZERO
from ..evaluation.latency.runtime import RUNTIMES, TORCH
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..evaluation.weights import Weights
from ..pruners import PRUNERS, RECIPES
from ..searchers import AUTO, SEARCHERS
from ..supernet.stored.record import Form
from ..supernet.training.settings import FinetuneSettings, Precision, SupernetSettings

ALSO = "also"  # in the same place: a short name of the option


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


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
    raise ValueError("expected a number of tokens above 0, or 'task'")


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
    runtime: Annotated[
        str,
        Field(
            description=f"what runs the model: {', '.join(RUNTIMES)}; ONNX Runtime on the CPU",
            json_schema_extra={ALSO: "runtime"},
        ),
    ] = TORCH


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
        Field(description=f"comma-separated: error, {', '.join(OBJECTIVES)}"),
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
    warm_from: Annotated[
        Literal["cuts", "blocks"],
        Field(
            description="what a warm start begins with: uniform cuts, or what blocks' errors after a refit say is best"
        ),
    ] = "cuts"
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


class TrackingSettings(_Settings):
    """Where else a training's curves go; it does not change what is trained."""

    report_to: Annotated[
        str | None,
        Field(description="draw the training's curves with these, comma-separated: tensorboard, wandb, mlflow"),
    ] = None


# What a budget of each objective is, in the order in which they are told; the first cost that has one orders the front.
_AT_MOST = {
    "latency_ms": "at most so many milliseconds",
    "memory_mb": "at most so many MB of the process at its peak",
    "disk_mb": "at most so many MB of weights on disk",
    "parameters": "at most so many parameters in all",
    "encoder_parameters": "at most so many in the encoder",
    "macs": "at most so many multiply-accumulates",
    ERROR: "at most this error on the selection split",
}
BUDGETS = tuple(name for name in dict.fromkeys((*_AT_MOST, *OBJECTIVES)) if name in OBJECTIVES or name == ERROR)


class _BudgetSettings(_Settings):
    """Limits that a subnetwork must keep."""


def _budget(name: str) -> Any:
    text = _AT_MOST.get(name, f"at most so much of the objective {name}")
    return Annotated[float | None, Field(gt=0, description=text)], None


if TYPE_CHECKING:
    Budgets = _BudgetSettings
else:  # a field for each objective, those of plug-ins too
    Budgets = create_model(
        "Budgets",
        __base__=_BudgetSettings,
        __doc__=_BudgetSettings.__doc__,
        **{name: _budget(name) for name in BUDGETS},
    )


def _objective(name: str) -> str:
    if name not in OBJECTIVES:
        raise ValueError(f"expected one of {', '.join(OBJECTIVES)}")
    return name


def _text(value: object) -> object:
    return str(value) if isinstance(value, int | float) else value


class _PruneSettings(_Settings):
    """How subnetworks are pruned."""

    method: Annotated[str, Field(description=f"one or several, comma-separated: {', '.join(PRUNERS)}")]
    density: Annotated[str, BeforeValidator(_text), Field(description="shares to keep, comma-separated: 0.9,0.6")]
    cost: Annotated[
        str, AfterValidator(_objective), Field(description=f"what a density is a share of: {', '.join(OBJECTIVES)}")
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
    precision: Annotated[Precision, Field(description="precision of the evaluations; auto: as the run's others")] = (
        "auto"
    )
    latency: LatencySettings = LatencySettings()


if TYPE_CHECKING:
    PruneSettings = _PruneSettings
else:  # with a group for each recipe
    PruneSettings = create_model(
        "PruneSettings",
        __base__=_PruneSettings,
        __doc__=_PruneSettings.__doc__,
        **{name: (recipe, recipe()) for name, recipe in RECIPES.items()},
    )


class RecoverOptions(_Settings):
    """How a model that was cut out is distilled from the whole one."""

    # Chosen by benchmarks/recovery.py on the selection split.
    steps: Annotated[int, Field(ge=1, description="optimiser steps")] = 1000
    minutes: Annotated[float | None, Field(gt=0, description="as many steps as fit into so many, instead")] = None
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 5e-5
    batch_size: Annotated[int, Field(ge=1, description="texts per step")] = 32
    save_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints for resuming")] = 60.0


SHARES = "3/4,1/2,1/4,1/6,1/10"  # of a ladder
BLOCKS = "blocks"  # in place of an importance


class LadderSettings(RecoverOptions):
    """Which rungs a ladder has, and how each is trained."""

    shares: Annotated[
        str | None,
        Field(
            description=f"the rungs' shares of the encoder's parameters; {SHARES} if not given, without those that are "
            "too small for any network"
        ),
    ] = None
    latency_ms: Annotated[
        str | None,
        BeforeValidator(_text),
        Field(description="rungs of at most so many milliseconds instead, as the latency table predicts: 8,4,2"),
    ] = None
    minutes: Annotated[float | None, Field(gt=0, description="for all rungs together, instead of steps")] = None
    steps: Annotated[int, Field(ge=1, description="optimiser steps of each rung")] = 200
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 1e-4
    importance: Annotated[
        str,
        Field(
            description=f"which units stay: `{BLOCKS}`, those that others of their block cannot make up for, so many "
            "in each that least is lost in all (as `ziplm`), or those that a score ranks highest"
        ),
    ] = BLOCKS


class RefitSettings(_Settings):
    """What outgoing maps are solved for anew on."""

    texts: Annotated[int, Field(ge=1, description="of the training split, without their labels")] = 512


class FrontSettings(_Settings):
    """Which models of a run a front shows."""

    shares: Annotated[
        str | None,
        Field(description="only the whole network and the best within such shares of its cost: 3/4,1/2,1/4,0.1"),
    ] = None
    against: Annotated[
        str,
        AfterValidator(lambda name: name if name == NONZERO else _objective(name)),
        Field(
            description=f"the objective beside the error: {', '.join(OBJECTIVES)}; nonzero: the share of weights left "
            "by a method that makes zeros",
            json_schema_extra={"choices": [*OBJECTIVES, NONZERO]},
        ),
    ] = "encoder_parameters"
    weights: Annotated[
        Weights | None,
        Field(
            description="only models with these: the supernet's, or their own of standard NAS (a search has both); "
            "pruned without training, after the refit or the recovery that all get, or by a method's native recipe"
        ),
    ] = None


class PickSettings(Budgets):
    """Which model is asked for, and how it is found."""

    runtime: Annotated[
        str | None,
        Field(description=f"what will run the model: {', '.join(RUNTIMES)}; the search's if not given"),
    ] = None
    as_measured: Annotated[
        bool,
        Field(
            description="answer from the numbers in the archive, whatever machine they are of; measure nothing",
            json_schema_extra={"flag": "--as-measured"},
        ),
    ] = False


class CompareSettings(TrackingSettings):
    """At which sizes methods are compared, and what their models get before."""

    density: Annotated[
        str | None,
        BeforeValidator(_text),
        Field(description="budgets, shares of the encoder's parameters; those that were pruned at if not given"),
    ] = None
    refit: Annotated[
        bool,
        Field(
            description="solve for outgoing maps anew, of the models within these budgets, of every method: a layer of "
            "its own, and what a recovery begins with"
        ),
    ] = True
    recover: Annotated[
        int | None,
        Field(ge=1, description="distil the models within these budgets, of every method, for so many steps"),
    ] = None
    recover_epochs: Annotated[
        float | None, Field(gt=0, description="or for so many passes over the training split")
    ] = None


class ModelChoice(Budgets):
    """Which model of a run, by its key or by budgets, and what becomes of it."""

    key: Annotated[str | None, Field(description="the subnetwork's key, as `front` prints it")] = None
    weights: Annotated[
        Weights | None, Field(description="with which weights; of a key that was evaluated with both, the supernet's")
    ] = None
    method: Annotated[str | None, Field(description="of a pruned model: by which method")] = None
    density: Annotated[float | None, Field(gt=0, description="of a pruned model: the density asked for")] = None
    form: Annotated[
        Form,
        Field(
            description="of the checkpoint: `stock`, a plain model of transformers where all layers are alike; "
            "`portable`, with its code beside it; `secateur`, without; `auto`, the first of these that can be"
        ),
    ] = "auto"
    push: Annotated[
        str | None, Field(description="upload it with its card to this name on the Hugging Face hub as well")
    ] = None
    private: Annotated[bool, Field(description="a repository that is made for it is seen by its owner only")] = False


class ExtractSettings(ModelChoice):
    """Where an extracted model goes."""

    to: Annotated[Path | None, Field(description="the folder to write; RUN/subnets/KEY if not given")] = None
    refit: Annotated[
        bool,
        Field(description="solve its outgoing maps for anew, as `export` does; its weights as they are if not given"),
    ] = False


class ExportSettings(ModelChoice):
    """What is made of a model that is exported."""

    to: Annotated[Path, Field(description="the folder to write")]
    runtime: Annotated[
        str | None,
        Field(description=f"what the latency budget is of: {', '.join(RUNTIMES)}; the search's if not given"),
    ] = None
    refit: Annotated[
        bool,
        Field(
            description="solve its outgoing maps for anew, so that blocks give what the whole model's give; kept if "
            "the selection split says so"
        ),
    ] = True
    recover: Annotated[int | None, Field(ge=1, description="distil it from the whole model for so many steps")] = None
    recover_minutes: Annotated[float | None, Field(gt=0, description="or for so many minutes")] = None
    onnx: Annotated[bool, Field(description="also write model.onnx", json_schema_extra={"flag": "--onnx"})] = False
    int8: Annotated[
        bool, Field(description="also write model-int8.onnx, quantised", json_schema_extra={"flag": "--int8"})
    ] = False

    @property
    def recovery(self) -> RecoverOptions:
        """How it is recovered, if it is."""
        return RecoverOptions(steps=self.recover or 1, minutes=self.recover_minutes)


_SKIPPED = ("search", "ladder")


def _skipped(text: str) -> str:
    for name in filter(None, text.split(",")):
        if name not in _SKIPPED:
            raise ValueError(f"expected {' or '.join(_SKIPPED)}")
    if {*text.split(",")} >= {*_SKIPPED}:
        raise ValueError("one of them must be left")
    return text


class AllSettings(_Settings):
    """What a run of all stages does, and how long it may take."""

    minutes: Annotated[
        float | None,
        Field(
            gt=0,
            description="about so many for all stages: fine-tuning takes at most half of them, a ladder what that "
            "leaves, and there is no search",
        ),
    ] = None
    skip: Annotated[
        str,
        AfterValidator(_skipped),
        Field(description="a stage to leave out: `search`, with its supernet, or `ladder`"),
    ] = ""

    @property
    def skipped(self) -> set[str]:
        """The stages that are left out."""
        return {*self.skip.split(",")} | ({"search"} if self.minutes is not None else set())


class FinetuneVerb(FinetuneSettings, TrackingSettings):
    """What `Run.finetune` takes."""


class SupernetVerb(SupernetSettings, TrackingSettings):
    """What `Run.train_supernet` takes."""


class SearchVerb(SearchSettings, FarmSettings):
    """What `Run.search` takes."""

    standard: StandardSettings = StandardSettings()


class PruneVerb(PruneSettings, TrackingSettings):
    """What `Run.prune` takes."""


class LadderVerb(LadderSettings, TrackingSettings):
    """What `Run.ladder` takes."""


class LatencyVerb(LatencySettings):
    """What `Run.latency` takes."""

    seconds: Annotated[float, Field(gt=0, description="about so long it may take")] = 50.0
    again: Annotated[
        bool, Field(description="measure although there is a table", json_schema_extra={"flag": "--again"})
    ] = False


def parse_shares(text: str, name: str = "shares") -> tuple[Fraction, ...]:
    """Read shares such as `3/4,1/2,0.1`, each once, in the order given.

    Raises:
        InputError: something that is not a number above 0 and at most 1; `name` is that of the setting.
    """
    shares = []
    for part in text.split(","):
        try:
            share = Fraction(part.strip())
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        if not 0 < share <= 1:
            such = "3/4,1/2,0.1" if name == "shares" else "0.9,0.6"
            raise InputError(f"`{name}` needs numbers above 0 and at most 1, such as {such}; got {part.strip()!r}")
        shares.append(share)
    return tuple(dict.fromkeys(shares))


def parse_amounts(text: str, name: str) -> tuple[float, ...]:
    """Read numbers such as `8,4.5`, each once.

    Raises:
        InputError: something that is not a finite number above 0; `name` is that of the setting.
    """
    found = []
    for part in text.split(","):
        try:
            amount = float(part)
        except ValueError:
            amount = math.nan
        if not 0 < amount < math.inf:
            raise InputError(f"`{name}` needs numbers above 0, such as 8,4; got {part.strip()!r}")
        found.append(amount)
    return tuple(dict.fromkeys(found))


def parse_densities(text: str) -> tuple[float, ...]:
    """Read densities such as `0.9,0.6`; as :func:`parse_shares`."""
    return tuple(float(share) for share in parse_shares(text, "density"))
