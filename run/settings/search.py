"""What a search can be told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from ...evaluation.objectives import OBJECTIVES
from ...searchers import AUTO, SEARCHERS
from ...supernet.training.settings import MOST
from .base import MOST_THREADS, PRECISION_HELP, ErrorPrecision, Settings, as_text
from .latency import LatencySettings
from .parsing import ALL


class SearchSettings(Settings):
    """How the search goes."""

    searcher: Annotated[
        str,
        AfterValidator(lambda name: AUTO if name == "auto" else name),
        Field(description=f"auto ({AUTO}), {', '.join(SEARCHERS)}", validate_default=True),
    ] = "auto"
    weights: Annotated[
        Literal["supernet", "solved"],
        Field(
            description="whose subnetworks are looked at: the supernet's as they are cut, or the fine-tuned model's "
            "with outgoing maps solved for, which needs no supernet"
        ),
    ] = "supernet"
    space: Annotated[
        str | None,
        Field(description="of solved weights; the supernet's, or else small, if not given"),
    ] = None
    budget: Annotated[
        int, Field(ge=1, le=MOST, description="points to evaluate; other depths of a point come for free")
    ] = 200
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
            le=10_000,
            description="begin with so many uniform cuts, the first heads and neurons of every layer, of all sizes",
        ),
    ] = 0
    warm_from: Annotated[
        Literal["cuts", "blocks"],
        Field(
            description="what a warm start begins with: uniform cuts, or what blocks' errors after a refit say is best"
        ),
    ] = "cuts"
    vocabulary: Annotated[
        str,
        BeforeValidator(as_text),
        Field(
            description="also choose how many tokens a model reads, beside all: `corpus`, those of the training texts, "
            "and numbers, so many of the most frequent; others are spelled with them: corpus,8000; `all` for no others"
        ),
    ] = ALL
    precision: Annotated[ErrorPrecision, Field(description=PRECISION_HELP)] = "auto"
    racing: Annotated[
        bool, Field(description="stop evaluating what is certain not to reach the front; its error is estimated")
    ] = False
    prefix_mb: Annotated[
        int,
        Field(ge=0, le=MOST, description="memory for hidden states of first layers that subnetworks share; 0 is off"),
    ] = 1024
    latency: LatencySettings = LatencySettings()


class StandardSettings(Settings):
    """How standard NAS (the searcher `moasha`) trains each candidate."""

    epochs: Annotated[
        int, Field(ge=1, le=MOST, description="most passes over the training split that a candidate gets")
    ] = 5
    learning_rate: Annotated[float, Field(gt=0, description="AdamW's peak learning rate")] = 5e-5
    batch_size: Annotated[int, Field(ge=1, le=MOST, description="texts per optimiser step")] = 32
    save_seconds: Annotated[float, Field(ge=0, description="seconds between checkpoints for resuming")] = 60.0


class FarmSettings(Settings):
    """Where a search's evaluations run; by default here, one after another. It does not change what is searched."""

    workers: Annotated[
        int | None, Field(ge=1, le=MOST_THREADS, description="evaluate on so many processes of this machine")
    ] = None
    scheduler: Annotated[
        str | None, Field(description="evaluate on a Dask cluster, the address of its scheduler: tcp://HOST:8786")
    ] = None
    latency_tag: Annotated[
        str | None,
        Field(min_length=1, description="measure latencies on the cluster's worker with this resource, not here"),
    ] = None


class SearchVerb(SearchSettings, FarmSettings):
    """What `Run.search` takes."""

    standard: StandardSettings = StandardSettings()
