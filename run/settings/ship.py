"""What becomes of a model that is cut out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ...evaluation.latency.runtime import RUNTIMES
from ...evaluation.objectives import OBJECTIVES
from ...evaluation.weights import Weights
from ...supernet.training.settings import MOST
from .base import Settings, as_text, objective_name
from .choice import ModelChoice
from .parsing import CORPUS
from .recovery import RecoverOptions


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
    recover: Annotated[
        int | None, Field(ge=1, le=MOST, description="distil it from the whole model for so many steps")
    ] = None
    recover_minutes: Annotated[float | None, Field(gt=0, le=MOST, description="or for so many minutes")] = None
    vocabulary: Annotated[
        str | None,
        BeforeValidator(as_text),
        Field(
            description="fewer tokens: `corpus` keeps those of the training texts, a number so many of the most "
            "frequent, and others are spelled with them; all if not given"
        ),
    ] = None
    onnx: Annotated[bool, Field(description="also write model.onnx", json_schema_extra={"flag": "--onnx"})] = False
    layouts: Annotated[
        str | None,
        Field(
            description="also lay it out for programs that serve models, each in a folder of its name: onnx, "
            "transformers-js, tei, sentence-transformers, openvino, triton; comma-separated",
            json_schema_extra={"flag": "--for"},
        ),
    ] = None
    openvino: Annotated[
        bool, Field(description="also write openvino_model.xml and .bin", json_schema_extra={"flag": "--openvino"})
    ] = False
    int8: Annotated[
        bool,
        Field(
            description="also write them quantised: model-int8.onnx, or of what else is asked for",
            json_schema_extra={"flag": "--int8"},
        ),
    ] = False

    @property
    def recovers(self) -> bool:
        """It is recovered."""
        return self.recover is not None or self.recover_minutes is not None

    @property
    def recovery(self) -> RecoverOptions:
        """How it is recovered, if it is."""
        return RecoverOptions(steps=self.recover or 1, minutes=self.recover_minutes)


class NestSettings(Settings):
    """Which models a nested checkpoint holds."""

    to: Annotated[Path, Field(description="the folder to write")]
    against: Annotated[
        str,
        AfterValidator(objective_name),
        Field(
            description=f"those of the front of the error against this objective: {', '.join(OBJECTIVES)}",
            json_schema_extra={"choices": [*OBJECTIVES]},
        ),
    ] = "encoder_parameters"
    weights: Annotated[
        Weights | None,
        Field(description="only models with these: supernet, solved, standard or ladder; all of these if not given"),
    ] = None
    refit: Annotated[
        bool,
        Field(
            description="solve their outgoing maps for anew, as `export` does, and keep those beside; their weights as "
            "they are if not given"
        ),
    ] = False


class VocabularySettings(Settings):
    """Which tokens a checkpoint keeps."""

    data: Annotated[
        list[Path],
        Field(
            description="texts that it is going to read: a file (CSV, TSV, JSON, JSONL, parquet, Arrow, or a text on "
            "each line of .txt), or a folder of such; can be given several times"
        ),
    ]
    to: Annotated[Path, Field(description="the folder to write")]
    keep: Annotated[
        str,
        BeforeValidator(as_text),
        Field(description="`corpus`: the tokens of these texts; or a number: so many of the most frequent"),
    ] = CORPUS
    text_column: Annotated[str | None, Field(description="the column of texts (text)")] = None
    text_pair_column: Annotated[str | None, Field(description="the column of second texts")] = None
