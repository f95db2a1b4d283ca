"""What each command can be told; docstrings and the fields' descriptions are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ..evaluation.latency.runtime import PRECISIONS, RUNTIMES, TORCH
from ..run.settings.all import AllSettings
from ..run.settings.base import MOST_THREADS, Settings
from ..run.settings.choice import FrontSettings, LoadSettings, PickSettings
from ..run.settings.compare import CompareSettings
from ..run.settings.ladder import LadderSettings
from ..run.settings.latency import LatencyVerb
from ..run.settings.project import ProjectSettings
from ..run.settings.prune import PruneSettings
from ..run.settings.recovery import RecoverOptions
from ..run.settings.search import FarmSettings, SearchSettings, StandardSettings
from ..run.settings.ship import ExportSettings, ExtractSettings, NestSettings, VocabularySettings
from ..run.settings.training import FinetuneOptions, TrackingSettings
from ..supernet.training.settings import MOST, SupernetSettings
from .options import ARGUMENT


class OfRun(Settings):
    """A command on a run."""

    run: Annotated[Path, Field(description="the run folder", json_schema_extra=ARGUMENT)]


class JsonOption(Settings):
    """A command that can answer in JSON."""

    as_json: Annotated[
        bool, Field(description="print JSON instead of tables", json_schema_extra={"flag": "--json"})
    ] = False


class FinetuneCommand(ProjectSettings, TrackingSettings):
    """Make a run folder and fine-tune its model; a model that is fine-tuned already is taken as it is."""

    finetune: FinetuneOptions = FinetuneOptions()


class SupernetCommand(TrackingSettings, OfRun):
    """Train the supernet of a run."""

    supernet: SupernetSettings = SupernetSettings()


class SearchCommand(FarmSettings, OfRun):
    """Search the trained supernet; every evaluation is kept, and a later search adds to the same archive."""

    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()


class LatencyCommand(LatencyVerb, OfRun):
    """Measure how long subnetworks of a run take on this machine, used in a certain way, and how well that predicts.

    What is not given is as in the run's search. Kept in the run folder as latency/TARGET.json, where `search` and
    `pick` find it.
    """


class LadderCommand(LadderSettings, TrackingSettings, JsonOption, OfRun):
    """Make models of falling size, each cut from the one before it, refitted, and distilled from the fine-tuned model.

    Needs no supernet and no search; `front`, `pick`, `extract`, `export` and `compare` know them. Rungs that are there
    are not made again, and one that was killed goes on.
    """


class FrontCommand(FrontSettings, JsonOption, OfRun):
    """Print the front of a run, the most accurate first."""


class PickCommand(PickSettings, JsonOption, OfRun):
    """Name the best subnetwork within the budgets, measured now, with the next cheaper and the next dearer one.

    Of all models that the search evaluated: the one of the lowest error on the selection split whose latency's upper
    quartile, measured in turn with others, keeps the budget. With --error alone, the one of the smallest encoder.
    """


class PruneCommand(PruneSettings, TrackingSettings, OfRun):
    """Prune the fine-tuned model by methods that need no search; every model is kept in the run's archive.

    A model that is there already is not made again.
    """


class CompareCommand(CompareSettings, JsonOption, OfRun):
    """Show what each method gets at each size: tables here, and report.html and compare.png in the run folder.

    In four layers that are never mixed: no recovery, a refit, the same short recovery for all, a method's own full
    recipe. The second is made where it is missing, with --recover the third, from models of all methods.
    """


class ReportCommand(OfRun):
    """Draw all that the run has found: report.html to explore, front.png to show."""


class ExtractCommand(ExtractSettings, OfRun):
    """Write a subnetwork, given by its key or by budgets as in `pick`, as a model that transformers loads."""


class ExportCommand(ExportSettings, JsonOption, OfRun):
    """Pick a model, cut it out, recover, save and convert it, and check each step on the report split.

    The model is given by its key, or by budgets as in `pick`. An export that was killed goes on where it was.
    """


class NestCommand(NestSettings, JsonOption, OfRun):
    """Write the models of a run's front into one folder, from which any of them is cut out when it is loaded.

    The folder has the whole model with its tokenizer, and small files of what in the others is no slice of it.
    In Python, secateur.load("FOLDER", latency_ms=8) gives the best model within budgets; the run is not needed for it.
    """


class ConvertCommand(Settings):
    """Write a checkpoint's ONNX file, or OpenVINO's, checked against the model, and with --int8 a quantised one.

    Any encoder that Secateur knows will do, with a head, cut by Secateur or not.
    """

    checkpoint: Annotated[Path, Field(description="the model's folder", json_schema_extra=ARGUMENT)]
    layout: Annotated[
        str | None,
        Field(
            description="write the whole folder that programs expect: onnx, transformers-js, tei, "
            "sentence-transformers, openvino, triton",
            json_schema_extra={"flag": "--for"},
        ),
    ] = None
    openvino: Annotated[
        bool,
        Field(
            description="write openvino_model.xml and .bin, not model.onnx", json_schema_extra={"flag": "--openvino"}
        ),
    ] = False
    int8: Annotated[
        bool, Field(description="also write it quantised, model-int8.onnx", json_schema_extra={"flag": "--int8"})
    ] = False
    data: Annotated[
        list[Path],
        Field(description="texts that OpenVINO's int8 finds its scales on: a file, or a folder; several times"),
    ] = Field(default_factory=list)
    text_column: Annotated[str | None, Field(description="the column of texts (text)")] = None
    text_pair_column: Annotated[str | None, Field(description="the column of second texts")] = None
    opset: Annotated[
        int | None, Field(ge=1, le=MOST, description="version of ONNX's operators; the lowest that does if not given")
    ] = None
    to: Annotated[Path | None, Field(description="the folder of the files; the checkpoint's own if not given")] = None


class VocabularyCommand(VocabularySettings, JsonOption):
    """Write a checkpoint that has only the tokens that texts need, with a tokenizer that knows no others.

    A text whose tokens are all kept is read as before, with the same outputs; others are spelled with what is left. Any
    encoder that Secateur knows will do, with a head, cut by Secateur or not.
    """

    checkpoint: Annotated[
        str, Field(description="a folder, or a name on the Hugging Face hub", json_schema_extra=ARGUMENT)
    ]


class RecoverCommand(OfRun):
    """Distil a run's fine-tuned model into a smaller one: its predictions and its hidden states.

    The smaller model is a checkpoint of the run's task that Secateur wrote; the report split's score is printed before
    and after. A recovery that was killed goes on where it was.
    """

    checkpoint: Annotated[
        Path, Field(description="the model's folder, as `extract` wrote it", json_schema_extra=ARGUMENT)
    ]
    recover: RecoverOptions = RecoverOptions()
    to: Annotated[Path | None, Field(description="the folder to write; CHECKPOINT-recovered if not given")] = None


class BenchCommand(LoadSettings, JsonOption):
    """Measure latency, throughput and memory of checkpoints, in turn with one another: extracted, stock, any encoder.

    One table for each runtime, precision and batch size. With a concurrency or a rate also what requests take while
    others are under way.
    """

    checkpoints: Annotated[
        list[str], Field(description="folders, or names on the Hugging Face hub", json_schema_extra=ARGUMENT)
    ]
    runtime: Annotated[str, Field(description=f"what runs them, comma-separated: {', '.join(RUNTIMES)}")] = TORCH
    precision: Annotated[str, Field(description=f"in PyTorch, comma-separated: {', '.join(PRECISIONS)}")] = "float32"
    batch_size: Annotated[str, Field(description="texts per batch, comma-separated")] = "1,32"
    sequence_length: Annotated[int, Field(ge=1, le=MOST, description="tokens per text")] = 128
    threads: Annotated[int | None, Field(ge=1, le=MOST_THREADS, description="threads; all cores if not given")] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(description="PyTorch's; auto: CUDA if there is one")] = (
        "auto"
    )
    seconds: Annotated[float, Field(gt=0, description="of timing, for each checkpoint and way of serving")] = 3.0
    memory: Annotated[bool, Field(description="also measure the memory of a new process that serves it")] = True


def _described(name: str) -> Any:
    return Field(description=f"{ProjectSettings.model_fields[name].description}; a run that is there has its own")


class RunCommand(ProjectSettings, FarmSettings, TrackingSettings, AllSettings):
    """Do all stages; what is complete is skipped, what was interrupted goes on.

    Ends with the report page and with an extracted model: the best one with half of the whole network's encoder.
    """

    model: Annotated[str | None, _described("model")] = None  # pyright: ignore[reportIncompatibleVariableOverride]
    task: Annotated[str | None, _described("task")] = None  # pyright: ignore[reportIncompatibleVariableOverride]
    finetune: FinetuneOptions = FinetuneOptions()
    supernet: SupernetSettings = SupernetSettings()
    search: SearchSettings = SearchSettings()
    standard: StandardSettings = StandardSettings()
    ladder: LadderSettings = LadderSettings()


def fields_of(settings: BaseModel, model: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return the settings that a command was given, as keywords of a verb: those that `model` has, or all."""
    own = settings.model_fields_set & set((model or type(settings)).model_fields)
    return {name: getattr(settings, name) for name in own}
