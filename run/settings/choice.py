"""Which models of a run are meant: a front, the best within budgets, or one by its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from ...evaluation.evaluation import FLIP_RATE, NONZERO
from ...evaluation.latency.runtime import RUNTIMES
from ...evaluation.objectives import ERROR, OBJECTIVES
from ...evaluation.weights import Weights
from ...supernet.stored.record import Form
from ...supernet.training.settings import MOST
from .base import MOST_THREADS, Settings, objective_name

# What a budget of each objective is, in the order in which they are told; the first cost that has one orders the front.
_AT_MOST = {
    "latency_ms": "at most so many milliseconds",
    "memory_mb": "at most so many MB of the process at its peak",
    "disk_mb": "at most so many MB of weights on disk",
    "parameters": "at most so many parameters in all",
    "encoder_parameters": "at most so many in the encoder",
    "macs": "at most so many multiply-accumulates",
    ERROR: "at most this error on the selection split",
    FLIP_RATE: "the cheapest (by the first cost with a budget, else the fastest) that answers otherwise than the "
    "fine-tuned model in at most this share of texts: the upper end of its 95 % interval, on the selection split",
}
_BELOW = {FLIP_RATE: 1.0}
BUDGETS = tuple(name for name in dict.fromkeys((*_AT_MOST, *OBJECTIVES)) if name in (*OBJECTIVES, ERROR, FLIP_RATE))


class _BudgetSettings(Settings):
    """Limits that a subnetwork must keep."""


def _budget(name: str) -> Any:
    text = _AT_MOST.get(name, f"at most so much of the objective {name}")
    return Annotated[float | None, Field(gt=0, lt=_BELOW.get(name), description=text)], None


if TYPE_CHECKING:
    Budgets = _BudgetSettings
else:  # a field for each objective, those of plug-ins too
    Budgets = create_model(
        "Budgets",
        __base__=_BudgetSettings,
        __doc__=_BudgetSettings.__doc__,
        **{name: _budget(name) for name in BUDGETS},
    )


class FrontSettings(Settings):
    """Which models of a run a front shows."""

    shares: Annotated[
        str | None,
        Field(description="only the whole network and the best within such shares of its cost: 3/4,1/2,1/4,0.1"),
    ] = None
    against: Annotated[
        str,
        AfterValidator(lambda name: name if name == NONZERO else objective_name(name)),
        Field(
            description=f"the objective beside the error: {', '.join(OBJECTIVES)}; nonzero: the share of weights left "
            "by a method that makes zeros",
            json_schema_extra={"choices": [*OBJECTIVES, NONZERO]},
        ),
    ] = "encoder_parameters"
    weights: Annotated[
        Weights | None,
        Field(
            description="only models with these: the supernet's, solved ones, or their own of standard NAS (a search "
            "has them); pruned without training, after the refit or the recovery that all get, or by a method's native "
            "recipe"
        ),
    ] = None


# A fine-tuned MiniLM answers 2.2 % of SST-2's texts otherwise in ONNX Runtime's int8, and 1.5 % in OpenVINO's.
GATE = 0.03
Gate = Annotated[
    float,
    Field(
        gt=0,
        le=1,
        description="in int8 at most this share of the selection split is answered otherwise than in float32, and the "
        "error there rises by no more",
    ),
]


class LoadSettings(Settings):
    """What a server has to do while latencies are taken."""

    concurrency: Annotated[
        int,
        Field(ge=1, le=MOST_THREADS, description="requests under way at any time: clients that each wait for theirs"),
    ] = 1
    rate: Annotated[
        float | None,
        Field(gt=0, le=MOST, description="requests a second at random moments instead, whatever is under way"),
    ] = None
    instances: Annotated[
        int, Field(ge=1, le=MOST_THREADS, description="processes that serve it, each with the table's threads")
    ] = 1


class PickSettings(Budgets, LoadSettings):
    """Which model is asked for, and how it is found."""

    p99_ms: Annotated[
        float | None,
        Field(
            gt=0,
            description="surely at most 1 % of requests take longer than so many milliseconds, with `concurrency`, "
            "`rate` and `instances`; measured, with processes that serve the model",
        ),
    ] = None

    runtime: Annotated[
        str | None,
        Field(description=f"what will run the model: {', '.join(RUNTIMES)}; the search's if not given"),
    ] = None
    gate: Gate = GATE
    as_measured: Annotated[
        bool,
        Field(
            description="answer from the numbers in the archive, whatever machine they are of; measure nothing",
            json_schema_extra={"flag": "--as-measured"},
        ),
    ] = False


class ModelChoice(Budgets):
    """Which model of a run, by its key or by budgets, and what becomes of it."""

    key: Annotated[str | None, Field(description="the subnetwork's key, as `front` prints it")] = None
    weights: Annotated[
        Weights | None, Field(description="with which weights; of a key that has several, the supernet's")
    ] = None
    method: Annotated[str | None, Field(description="of a pruned model: by which method")] = None
    density: Annotated[float | None, Field(gt=0, description="of a pruned model: the density asked for")] = None
    gate: Gate = GATE
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
