"""What pruning can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, create_model

from ...evaluation.objectives import OBJECTIVES
from ...pruners import PRUNERS, RECIPES
from ...supernet.training.settings import MOST
from .base import LARGEST_SEED, PRECISION_HELP, ErrorPrecision, Settings, as_text, objective_name
from .latency import LatencySettings
from .training import TrackingSettings


class _PruneSettings(Settings):
    """How subnetworks are pruned."""

    method: Annotated[str, Field(description=f"one or several, comma-separated: {', '.join(PRUNERS)}")]
    density: Annotated[str, BeforeValidator(as_text), Field(description="shares to keep, comma-separated: 0.9,0.6")]
    cost: Annotated[
        str, AfterValidator(objective_name), Field(description=f"what a density is a share of: {', '.join(OBJECTIVES)}")
    ] = "encoder_parameters"
    seed: Annotated[
        int | None, Field(ge=0, le=LARGEST_SEED, description="of all that is random; the run's if not given")
    ] = None
    origin: Annotated[
        Literal["finetuned", "supernet"],
        Field(description="the model that is pruned", json_schema_extra={"flag": "--from"}),
    ] = "finetuned"
    texts: Annotated[
        int | None,
        Field(
            ge=1, le=MOST, description="let the methods see only so many texts of the training split, drawn by the seed"
        ),
    ] = None
    precision: Annotated[ErrorPrecision, Field(description=f"{PRECISION_HELP}; auto: as the run's others")] = "auto"
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


class PruneVerb(PruneSettings, TrackingSettings):
    """What `Run.prune` takes."""
