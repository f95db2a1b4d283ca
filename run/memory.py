"""What a run remembers: what its verbs were told, for calls that do not say it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from .basis import Basis
from .folder import RunFolder
from .settings.search import FarmSettings
from .settings.training import TrackingSettings

_EACH_TIME = {*FarmSettings.model_fields, *TrackingSettings.model_fields}  # where to: it decides nothing


def remembered(folder: RunFolder, verb: str) -> dict[str, Any]:
    """Return the settings that a verb was given before.

    What is so already comes first: what a stage was made with, what the archive's numbers belong to.
    """
    stages, told = folder.record["stages"], folder.record["asked"].get(verb, {})
    if verb in ("finetune", "supernet") and verb in stages:
        return merged(told, stages[verb]["settings"])
    if verb == "latency":
        return remembered(folder, "search").get("latency", {})
    if (basis := Basis.of(folder)) is not None and verb in ("search", "prune"):
        told = merged(told, {"latency": basis.latency.model_dump(mode="json"), "precision": basis.dtype})
    return told


def given(settings: BaseModel) -> dict[str, Any]:
    """Return the settings that were given, JSON-ready, but for where a search runs and where curves go."""
    return settings.model_dump(mode="json", exclude_unset=True, exclude=_EACH_TIME)


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others in their place, group by group."""
    groups = {name: merged(old[name], value) for name, value in new.items() if isinstance(value, dict) and name in old}
    return {**old, **new, **groups}
