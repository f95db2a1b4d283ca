"""What all settings are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, field_validator

from ...evaluation.objectives import OBJECTIVES

LARGEST_SEED = 2**32 - 1  # that every library takes
MOST_THREADS = 4096  # and workers, of one machine: more is a slip, of which OpenMP dies
ALSO = "also"  # in the same place: a short name of the option

ErrorPrecision = Literal["auto", "float32", "bfloat16", "int8"]
PRECISION_HELP = "precision of the errors; int8: as the models answer in it, which the runtime must serve"


class Settings(BaseModel):
    """Frozen fields with checked values; a field's description is its help text."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _in_utf8(cls, value: object) -> object:
        if isinstance(value, Path) and not _is_utf8(str(value)):  # what writers in Rust cannot open
            raise ValueError("expected a name in UTF-8")
        return value


def _is_utf8(text: str) -> bool:
    """Tell whether a text is one, and not bytes that the file system had in some other encoding."""
    return all(not "\ud800" <= letter <= "\udfff" for letter in text)


def objective_name(name: str) -> str:
    """Return the name of an objective as it is; ValueError for any other."""
    if name not in OBJECTIVES:
        raise ValueError(f"expected one of {', '.join(OBJECTIVES)}")
    return name


def as_text(value: object) -> object:
    """Return one number as the text of a list of one; anything else as it is."""
    return str(value) if isinstance(value, int | float) else value
