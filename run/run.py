"""One run, in Python: every stage and every answer as a method."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from ..errors import InputError, unknown_name
from ..evaluation.model import Model
from ..evaluation.weights import Weights
from .choice.front import Front, front_models, open_archive, whole_model, within_shares
from .choice.pick import Answer, pick
from .choice.stored import stored_candidates
from .constant import judged, notes_of, without_constants
from .folder import RunFolder
from .memory import given, merged, remembered
from .settings.all import AllSettings
from .settings.choice import FrontSettings, PickSettings
from .settings.compare import CompareSettings
from .settings.ladder import LadderVerb
from .settings.latency import LatencyVerb
from .settings.parsing import parse_shares, parse_vocabularies
from .settings.project import ProjectSettings
from .settings.prune import PruneVerb
from .settings.search import FarmSettings, SearchVerb
from .settings.ship import ExportSettings, ExtractSettings, NestSettings
from .settings.training import FinetuneOptions, FinetuneVerb, SupernetVerb
from .telling import SILENT, Teller

if TYPE_CHECKING:
    from datasets import DatasetDict

    from ..evaluation.archive import Archive
    from ..evaluation.latency.table import LatencyTable
    from ..evaluation.report.comparison import Comparison
    from ..search_space import SearchSpace
    from ..supernet import Supernet
    from ..tasks import Task
    from .choice.ladder import Ladder
    from .ship.checkpoint import Extracted
    from .ship.export import Exported
    from .ship.nest import NestedFront

Settings = TypeVar("Settings", bound=BaseModel)

_AROUND = 0.3  # minutes that imports before, report and extraction after the stages take
_LEAST = 0.1  # minutes of a ladder, however long fine-tuning took
HALF = 0.5  # of the whole network's encoder: what `all` extracts the best model within


class Run:
    """A run: one fine-tuned model, its supernet, all that was found in it, in one folder.

    A verb takes the fields of its settings as keywords (see `secateur.run.settings`; the options of the command line
    are these), returns data, and prints nothing. A stage is skipped when it is complete, and goes on where it was
    killed.
    What a verb needs is imported when it is called: reading a front needs no torch.

    Args:
        path: the run folder, which must be there; :meth:`create` makes one.
        tell: told what long jobs do; nobody by default.
        task: the task, of a run that was created with one of the user's own making.

    Raises:
        InputError: here and in every verb: no run folder, or settings that do not exist or are refused.

    Example:
        >>> run = Run.create("runs/demo", model="demo", task="demo")
        >>> run.finetune(epochs=1)
        >>> run.train_supernet(space="medium")
        >>> run.search(budget=60, objectives=("error", "latency"))
        >>> run.pick(latency_ms=8).chosen.export("my-model")
    """

    def __init__(self, path: str | Path, *, tell: Teller = SILENT, task: Task | None = None) -> None:
        self.folder = RunFolder.open(Path(path), tell)
        self.folder.own_task = task

    @classmethod
    def create(
        cls, path: str | Path, *, model: str, task: str | Task | DatasetDict, tell: Teller = SILENT, **project: Any
    ) -> Run:
        """Make a run folder, or open the one there if it is of the same project.

        Args:
            path: the folder.
            model: a folder, or a name on the hub; `demo` is the MiniLM of secateur[demo].
            task: its name; or a `datasets.DatasetDict` with a `train` split, whose columns are named as those of local
                files are (`text_column`, `label_column`), and which is copied into the folder (one of tagged words or
                questions is given as `data`, beside the task's name); or a
                :class:`~secateur.tasks.Task` of one's own making, which is handed in again whenever the run is opened.
            tell: as of the class.
            **project: the other fields of :class:`~secateur.run.settings.project.ProjectSettings`.

        Raises:
            InputError: a model or data that cannot be used, or a folder of another run.
        """
        from ..tasks import Task
        from .given_data import stored_data
        from .project import OWN, open_project

        name, own = task, None
        if isinstance(task, Task):
            name, own = OWN, task
        elif not isinstance(task, str):
            name, project["data"] = "local", task
        if isinstance(project.get("data"), Mapping):
            project["data"] = stored_data(Path(path), project["data"])
        settings = made(ProjectSettings, {"model": model, "task": name, "out": path, **project})
        open_project(settings, tell, own)
        return cls(path, tell=tell, task=own)

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    def archive(self) -> Archive:
        """Open all evaluations of the run; close them, or use them as a context."""
        return open_archive(self.folder)

    def task(self) -> Task:
        """Load the task, tokenised."""
        from .project import open_task

        return open_task(self.folder)

    def supernet(self) -> Supernet:
        """Load the trained supernet."""
        from .project import open_supernet

        return open_supernet(self.folder)[0]

    def space(self) -> SearchSpace:
        """Return the search space that the supernet was trained for."""
        from .project import open_supernet

        return open_supernet(self.folder)[1]

    def finetune(self, **settings: Any) -> None:
        """Fine-tune the model; a model that is fine-tuned already is taken as it is.

        Args:
            **settings: fields of FinetuneOptions; `report_to`.
        """
        from ..supernet.training.tracking import parse_trackers
        from .processes import first_process_first, joined_processes
        from .stages.finetune import finetune_stage

        told = self._told("finetune", FinetuneVerb, settings)
        with joined_processes():
            with first_process_first():
                task = self.task()
            finetune_stage(self.folder, task, part(told, FinetuneOptions), parse_trackers(told.report_to))

    def train_supernet(self, **settings: Any) -> None:
        """Train all subnetworks together.

        Args:
            **settings: fields of SupernetSettings; `report_to`.
        """
        from ..supernet.training.settings import SupernetSettings
        from ..supernet.training.tracking import parse_trackers
        from .processes import first_process_first, joined_processes
        from .stages.supernet import check, supernet_stage

        told = self._told("supernet", SupernetVerb, settings)
        own = part(told, SupernetSettings)
        check(own)
        with joined_processes():
            with first_process_first():
                task = self.task()
            supernet_stage(self.folder, task, own, parse_trackers(told.report_to))

    def search(self, **settings: Any) -> None:
        """Search the trained supernet; every evaluation is kept, and a later search adds to the same archive.

        Args:
            **settings: fields of SearchSettings and FarmSettings; `standard`, a mapping of StandardSettings.
        """
        from .settings.search import SearchSettings
        from .stages.search import check, search_stage
        from .stages.workers import check_farming

        told = self._told("search", SearchVerb, settings)
        own, farm = part(told, SearchSettings), part(told, FarmSettings)
        check(own)
        check_farming(farm, own)
        search_stage(self.folder, self.task(), own, told.standard, farm)

    def prune(self, method: str | Sequence[str], density: float | str | Sequence[float], **settings: Any) -> None:
        """Make subnetworks without a search, one for each method and density; what is there is not made again.

        Args:
            method: names of PRUNERS.
            density: shares of the encoder to keep, above 0 and at most 1.
            **settings: the other fields of PruneSettings; `report_to`.
        """
        from ..supernet.training.tracking import parse_trackers
        from .settings.prune import PruneSettings
        from .stages.prune import prune_stage

        told = self._told("prune", PruneVerb, {"method": method, "density": density, **settings})
        prune_stage(self.folder, self.task, part(told, PruneSettings), parse_trackers(told.report_to))

    def ladder(self, **settings: Any) -> Ladder:
        """Make models of falling size, each cut from the one before it and distilled from the fine-tuned model.

        They are in the archive like what a search finds: :meth:`front` and :meth:`pick` choose among them.

        Args:
            **settings: fields of LadderSettings: `shares` or `latency_ms`, `steps` of each or `minutes` for all;
                `report_to`.
        """
        from ..supernet.training.tracking import parse_trackers
        from .settings.ladder import LadderSettings
        from .stages.ladder import ladder_stage

        told = self._told("ladder", LadderVerb, settings)
        own = part(told, LadderSettings)
        return ladder_stage(self.folder, self.task(), own, parse_trackers(told.report_to), self)

    def latency(self, **settings: Any) -> LatencyTable:
        """Return the latency table of one way of running models on this machine, measured unless it is there.

        Args:
            **settings: fields of LatencySettings, as in the run's search unless given; `seconds`, about so long it may
                take; `again`, although it is there.
        """
        from .latency import table_of
        from .project import open_encoder
        from .settings.latency import LatencySettings

        told = self._told("latency", LatencyVerb, settings)
        encoder = open_encoder(self.folder)
        return table_of(self.folder, encoder, part(told, LatencySettings), told.seconds, again=told.again)

    def front(self, against: str = "encoder_parameters", **settings: Any) -> Front:
        """Return the front of the error against a cost, the most accurate first, without models that say nothing.

        Args:
            against: the cost.
            **settings: `weights`, only models with these; `shares`, the whole network and the best within such shares.
        """
        told = made(FrontSettings, {"against": against, **settings})
        with self.archive() as archive:
            titles: list[str] = []
            left_out: tuple[str, ...] = ()
            if told.shares is None:
                found = judged(self.folder, front_models(archive, against, told.weights, self))
                models, left_out = without_constants(found)
            else:
                shares = {parse_shares(part)[0]: part.strip() for part in told.shares.split(",")}  # as it was written
                whole = whole_model(archive, told.weights, self)
                found = [whole, *within_shares(archive, whole, against, [*shares], told.weights)]
                models = judged(self.folder, found)
                titles = ["all", *shares.values()]
            notes = (*notes_of(self.folder, archive, models), *left_out)
        return Front(models, f"{self.folder.project.task}: {self.path.name}", against, notes, titles)

    def pick(self, **settings: Any) -> Answer:
        """Name the best model within budgets, measured here and now, with its neighbours on the front.

        Args:
            **settings: fields of PickSettings: one or more budgets, `runtime`, `as_measured`.
        """
        return pick(self.folder, made(PickSettings, settings), self)

    def extract(self, to: str | Path | None = None, **settings: Any) -> Extracted:
        """Write a model as a checkpoint.

        Args:
            to: the folder; in the run's `subnets/` if None.
            **settings: fields of ExtractSettings: a key or budgets, `form`, `push`.
        """
        from .ship.checkpoint import extract

        return extract(self.folder, made(ExtractSettings, {"to": to, **settings}))

    def export(self, to: str | Path, **settings: Any) -> Exported:
        """Pick, cut out, recover, save, convert, and check each step on the report split.

        Args:
            to: the folder.
            **settings: fields of ExportSettings: a key or budgets, `recover` (steps) or `recover_minutes`, `vocabulary`
                (`corpus`, or how many tokens are kept), `onnx`, `int8`.
        """
        from .ship.export import export

        return export(self.folder, made(ExportSettings, {"to": to, **settings}))

    def nest(self, to: str | Path, **settings: Any) -> NestedFront:
        """Write the front's models into one folder, from which :func:`secateur.load` cuts any of them.

        Args:
            to: the folder.
            **settings: fields of NestSettings: `against` and `weights`, as of :meth:`front`; `refit`.
        """
        from .ship.nest import check_nest, nest

        told = made(NestSettings, {"to": to, **settings})
        check_nest(told)
        return nest(self.folder, self.front(told.against, weights=told.weights), told)

    def compare(self, **settings: Any) -> Comparison:
        """Return every method at equal budgets, in four layers that are never mixed; also drawn into the run folder.

        Args:
            **settings: fields of CompareSettings: `density`; `refit`, on unless told; `recover`, steps of the same
                short training for all.
        """
        from .stages.compare import compare

        return compare(self.folder, made(CompareSettings, settings))

    def report(self) -> Path:
        """Write report.html and front.png; return the page's path."""
        from .report.report import write_report

        with self.archive() as archive:
            return write_report(self.folder, archive)

    def all(
        self,
        *,
        finetune: Mapping[str, Any] | None = None,
        supernet: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
        ladder: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Extracted:
        """Do all stages, write the report, and extract the best model with half of the whole network's encoder.

        What is told is remembered at once: `Run(path).all()` goes on with it, wherever the run was killed.

        Args:
            finetune: settings of the stage, as its verb takes them.
            supernet: likewise.
            search: likewise.
            ladder: likewise.
            **settings: fields of AllSettings: `minutes`, without a supernet then; `skip`, what is left out.
        """
        from .ship.checkpoint import extract
        from .stages.ladder import check as check_ladder
        from .stages.search import check as check_search
        from .stages.supernet import check as check_supernet
        from .vocabulary import Vocabularies

        with self.folder.writing():  # not only stage by stage: what comes after them is written too
            begin = time.monotonic() - self.folder.seconds("finetune")
            told = self._told("run", AllSettings, settings)
            self._told("finetune", FinetuneVerb, self._in_time(told.minutes, finetune or {}))
            check_supernet(self._told("supernet", SupernetVerb, supernet or {}))
            check_search(searching := self._told("search", SearchVerb, search or {}))
            if "search" not in told.skipped:
                Vocabularies(self.folder).offered(parse_vocabularies(searching.vocabulary))
            check_ladder(self._told("ladder", LadderVerb, ladder or {}))
            begun = self.folder.record["stages"].keys()
            if search and not self.folder.complete("search"):  # it may go on otherwise
                begun -= {"search"}
            self.folder.remember(*self.folder.told.keys() - begun)
            self.finetune(**(finetune or {}))
            if "search" not in told.skipped:
                if self._told("search", SearchVerb, search or {}).weights != Weights.SOLVED:
                    self.train_supernet(**(supernet or {}))
                self.search(**(search or {}))
            if "ladder" not in told.skipped:
                self.ladder(**{**(ladder or {}), **self._time_left(told.minutes, begin)})
            with self.archive() as archive:
                whole = whole_model(archive)
                budgets = {"encoder_parameters": HALF * (whole.encoder_parameters or 0)}
                chosen = self._best_stored(archive, budgets)
            self.report()
            settings = {"key": chosen.key, "weights": chosen.weights}
            return extract(self.folder, made(ExtractSettings, settings), again=False)

    def _in_time(self, minutes: float | None, finetune: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what fine-tuning is told: at most half of the minutes, unless it was told how long or has begun."""
        settings = made(FinetuneVerb, merged(remembered(self.folder, "finetune"), finetune))
        told = settings.model_fields_set & {"epochs", "minutes"}
        if minutes is None or told or "finetune" in self.folder.record["stages"]:
            return finetune
        return {**finetune, "minutes": minutes / 2}

    def _time_left(self, minutes: float | None, begin: float) -> dict[str, float]:
        """Return what a ladder may take of a run's minutes, which began then; nothing if those are not limited."""
        if minutes is None:
            return {}
        return {"minutes": max(_LEAST, minutes - _AROUND - (time.monotonic() - begin) / 60)}

    def _told(self, verb: str, model: type[Settings], settings: Mapping[str, Any]) -> Settings:
        """Return a verb's settings: those that are given now, and those that it was given before."""
        now = made(model, settings).model_dump(mode="json", exclude_unset=True)
        told = made(model, merged(remembered(self.folder, verb), now))
        if verb not in ("prune", "latency"):  # each of these is another
            self.folder.told[verb] = given(told)
        return told

    def _best_stored(self, archive: Archive, budgets: dict[str, float]) -> Any:
        from ..evaluation.choice import choose

        chosen = choose(stored_candidates(self.folder, archive, budgets), budgets)
        if chosen is None:
            raise InputError(f"no evaluated model of {self.path} has at most half of the encoder; search on")
        return chosen.evaluation

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"


def made(model: type[Settings], given: Mapping[str, Any]) -> Settings:
    """Return settings from keywords; sequences where several names or numbers may stand become lists with commas.

    Raises:
        InputError: a keyword that is no setting, or a value that is refused; names it in backquotes.
    """
    for name in given:
        if name not in model.model_fields:
            raise unknown_name("setting", name, model.model_fields)
    try:
        return model.model_validate({name: _joined(value) for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(step) for step in first["loc"])
        raise InputError(f"`{name}`: {first['msg']}, got {first['input']!r}") from error


def part(given: BaseModel, model: type[Settings]) -> Settings:
    """Return the fields of one settings model out of a larger one; what was not given there is not given here."""
    own = given.model_fields_set & set(model.model_fields)
    return model.model_validate({name: getattr(given, name) for name in own})


def _joined(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ",".join(str(one) for one in value)
    return value


__all__ = ["Answer", "Front", "Model", "Run", "made", "part"]
