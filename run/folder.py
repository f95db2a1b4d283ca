"""One run, one folder: what it is about, which stages are complete, and what they cost."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from .. import digests
from ..digests import read_json, write_json
from ..errors import InputError
from ..evaluation.latency.target import machine_name
from .processes import is_first_process
from .settings.project import ProjectSettings
from .stopwatch import Stopwatch
from .telling import SILENT, Teller, call_of

if TYPE_CHECKING:
    from ..tasks import Task

# What a run is about; a folder made with other values of these is another run.
_IDENTITY = tuple(name for name in ProjectSettings.model_fields if name != "out")
# What is meant by a fact that differs.
_FACTS = {
    "taken_for": "the model has",
    "weights": "the model's weights have",
    "data": "the data or the model's tokenizer have",
    "metric": "the data have",
}
_VERBS = {"standard": "search", "solved": "search", "solved_search": "search"}  # of stages that have another's name
_CALLS = {"supernet": "train_supernet", "solved": "search"}  # of stages: the verb of a run that makes them
_LOCK = "run.lock"  # stays there; whether it is held is known to the operating system, which forgets it with its holder
DATA = "data"  # a copy of data that were handed in
_FIRST = (_LOCK, ".run.json.*.part", DATA)  # all that a run that was killed in its first moment leaves


class RunFolder:
    """A run's folder, opened with :meth:`create` or :meth:`open`.

    Attributes:
        path: the folder.
        project: what it is about.
        tell: whom its jobs tell what they do.
        own_task: the task, of a project whose user made it.
        told: by verb, what it was told: written down when a stage begins, for until then it may be refused.
    """

    def __init__(self, path: Path, record: dict[str, Any], tell: Teller = SILENT) -> None:
        self.path = path
        self.tell = tell
        self.own_task: Task | None = None
        self.told: dict[str, dict[str, Any]] = {}
        self.record = record
        self.project = ProjectSettings.model_validate({**record["project"], "out": path})
        self._lock = FileLock(path / _LOCK, is_singleton=True)  # reentrant, also through another object

    @classmethod
    def create(
        cls, project: ProjectSettings, facts: dict[str, Any], data: dict[str, Any], tell: Teller = SILENT
    ) -> RunFolder:
        """Make a run folder, or open the one there if it is of the same project.

        Args:
            project: what it is about.
            facts: what was found out about model and task; must be the same when the folder is used again.
            data: what pages say of the data, see :mod:`.data_facts`.
            tell: as the attribute.

        Raises:
            InputError: the folder belongs to another run, or is no run folder at all.
        """
        path = project.out
        wanted = {name: _plain(getattr(project, name)) for name in _IDENTITY}
        if (path / "run.json").exists():
            folder = cls.open(path, tell)
            for name, value in wanted.items():
                there = folder.record["project"].get(name)
                if there != value and name != "data":  # which may have moved: its contents are among the facts
                    raise InputError(
                        f"{path} is a run with {name.replace('_', ' ')} {there!r}, not {value!r}; choose another `out` "
                        "for another run"
                    )
            for name, value in facts.items():
                if folder.record["facts"].get(name) != value:
                    raise InputError(
                        f"{_FACTS[name]} changed since the run {path} began; bring back what it began with, or choose "
                        "another `out`"
                    )
            with folder.writing():
                if folder.record.get("data") != data:
                    folder.write_down("data", data)
            return folder
        if path.exists() and (not path.is_dir() or not all(any(map(item.match, _FIRST)) for item in path.iterdir())):
            raise InputError(f"{path} exists and is no run folder; choose a new folder for `out`")
        record = {"project": wanted, "facts": facts, "data": data, "environment": environment(), "stages": {}}
        record["asked"] = {}
        folder = cls(path, record, tell)
        try:
            with folder.writing():
                if (path / "run.json").exists():  # another process was faster
                    return cls.create(project, facts, data, tell)
                folder._write()
        except (NotADirectoryError, FileExistsError, PermissionError) as error:
            raise InputError(f"cannot make the run folder {path}: {error.strerror}; choose another `out`") from error
        return folder

    @classmethod
    def open(cls, path: Path, tell: Teller = SILENT) -> RunFolder:
        """Open an existing run folder; `tell` is as the attribute.

        Raises:
            InputError: there is none, or its run.json is damaged.
        """
        if not (path / "run.json").is_file():
            raise InputError(f'{path} is no run folder (it has no run.json); `Run.create("{path}", ...)` makes one')
        again = (
            "put back a copy of it, or choose another `out` and run again (what you changed yourself is taken without "
            "the `digest` in it)"
        )
        record = read_json(path / "run.json", again)
        try:
            folder = cls(path, record, tell)
            for stage in folder.record["stages"].values():
                _ = stage["settings"], stage["complete"], stage["seconds"]
            _ = folder.record["facts"]["data"], folder.record["asked"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path / 'run.json'} is damaged ({type(error).__name__}); {again}") from error
        return folder

    @property
    def archive(self) -> Path:
        """The archive's file."""
        return self.path / "archive.db"

    @property
    def finetuned(self) -> Path:
        """The fine-tuned model."""
        return self.path / "finetuned"

    @property
    def supernet(self) -> Path:
        """The trained supernet."""
        return self.path / "supernet"

    @property
    def solved(self) -> Path:
        """The fine-tuned model with its units in order, and the products that their outgoing maps are solved from."""
        return self.path / "solved"

    @property
    def standard(self) -> Path:
        """The models that standard NAS has trained, by key, as far as they are on a front."""
        return self.path / "standard"

    @property
    def pruned(self) -> Path:
        """The models that pruners made or that were trained after it, as far as they are on a front."""
        return self.path / "pruned"

    @property
    def ladder(self) -> Path:
        """The ladder's models, by key."""
        return self.path / "ladder"

    def latency_table(self, target: str) -> Path:
        """The file of the latency table for a target's name."""
        return self.path / "latency" / f"{target}.json"

    def settings(self, stage: str) -> dict[str, Any]:
        """Return the settings a stage was run with.

        Raises:
            InputError: it has not been run.
        """
        if stage not in self.record["stages"]:
            raise InputError(f"{self.path} has no {stage} stage yet; run `secateur {stage}` on it first")
        return self.record["stages"][stage]["settings"]

    def complete(self, stage: str) -> bool:
        """Tell whether a stage has ended and what it wrote is still there."""
        output = {"finetune": self.finetuned, "supernet": self.supernet, "solved": self.solved}.get(stage, self.archive)
        return self.record["stages"].get(stage, {}).get("complete", False) and output.exists()

    def check_complete(self, stage: str) -> None:
        """Check that a stage has ended and that what it wrote is still there.

        Raises:
            InputError: it has not, or that is gone: says what, and what makes it again.
        """
        if self.complete(stage):
            return
        verb = _VERBS.get(stage, stage)
        if self.record["stages"].get(stage, {}).get("complete", False):
            call = call_of(self.path, _CALLS.get(stage, stage), **({"weights": stage} if stage == "solved" else {}))
            output = {"finetune": self.finetuned, "supernet": self.supernet, "solved": self.solved}[stage]
            raise InputError(
                f"{output} is gone; put it back, or run {call} again, which makes the same from the same seed"
            )
        raise InputError(f"{self.path} has no complete {stage} stage; run `secateur {verb}` on it first")

    def seconds(self, stage: str) -> float:
        """Return what a stage has taken so far, over all its attempts."""
        return self.record["stages"].get(stage, {}).get("seconds", 0.0)

    def stage_is_done(self, stage: str, settings: BaseModel) -> bool:
        """Tell whether a stage has ended with these settings.

        Raises:
            InputError: it was run, or begun, with other settings.
        """
        there = self.record["stages"].get(stage)
        if there is None:
            return False
        mine = settings.model_dump(mode="json", exclude={"save_seconds"})
        for name, value in mine.items():
            before = there["settings"].get(name)
            if before != value:
                raise InputError(
                    f"the {stage} stage of {self.path} was run with {name} {before!r}, not "
                    f"{value!r}; choose another `out` for another run"
                )
        return self.complete(stage)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep other processes from writing the folder meanwhile; whoever has it already may ask again.

        Of several processes that train together (`torchrun`) the first has it for all.

        Raises:
            InputError: another process writes it.
        """
        if not is_first_process():
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"{self.path} is being written by another process; wait until it has ended, or choose another run "
                "folder"
            ) from error
        try:
            if self._lock.lock_counter == 1 and (self.path / "run.json").is_file():
                self.record = self.open(self.path).record  # which another process may have written since
                self._tidy()
            yield
        finally:
            self._lock.release()

    @contextmanager
    def stage(self, stage: str, settings: BaseModel, **notes: Any) -> Iterator[None]:
        """Record a stage: begun when entered, complete when left without an error, with the seconds it took."""
        with self.writing():
            before = self.seconds(stage)
            entry = {"settings": settings.model_dump(mode="json", exclude={"save_seconds"}), "complete": False, **notes}
            self.record["stages"][stage] = {**entry, "seconds": before}
            self.remember(_VERBS.get(stage, stage))
            with Stopwatch(self._clock(stage), before) as watch:
                try:
                    yield
                    self.record["stages"][stage]["complete"] = True
                finally:
                    self.record["stages"][stage]["seconds"] = watch.seconds
                    self._write()
            self._clock(stage).unlink(missing_ok=True)

    def state(self, stage: str) -> Path:
        """Where a stage that trains keeps its resume points, until it is complete."""
        return self.path / f"{'finetuned' if stage == 'finetune' else stage}.state"

    def _clock(self, stage: str) -> Path:
        return self.path / f"{stage}.seconds"

    def _tidy(self) -> None:
        """Remove what killed commands have left: what had no name yet, clocks and resume points of complete stages."""
        ended = [name for name, stage in self.record["stages"].items() if stage["complete"]]
        unnamed = [*self.path.rglob(".*.part"), *self.path.rglob(".*.old")]
        for path in [*unnamed, *map(self._clock, ended), *(self.state(stage) for stage in ended)]:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

    def remember(self, *verbs: str) -> None:
        """Write down what verbs were told, of a run that is being written."""
        self.write_down("asked", self.record["asked"] | {verb: self.told[verb] for verb in verbs if verb in self.told})

    def write_down(self, name: str, value: Any) -> None:
        """Keep a part of the record, of a run that is being written."""
        self.record[name] = value
        self._write()

    def _write(self) -> None:
        if not is_first_process():
            return
        write_json(self.path / "run.json", self.record)


def environment() -> dict[str, str]:
    """Name what results depend on beside the settings: library versions, Python, machine."""
    import torch  # here: a folder is read without it

    names = ("secateur", "torch", "transformers", "accelerate", "numpy", "optuna", "pymoo")
    return {
        **{name: importlib.metadata.version(name) for name in names},
        "python": platform.python_version(),
        "machine": machine_name("cuda" if torch.cuda.is_available() else "cpu"),
        "threads": str(torch.get_num_threads()),
    }


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, which is read once per process until it changes."""
    return digests.file_digest(path, "sha256")


def _plain(value: Any) -> Any:
    return str(value.absolute()) if isinstance(value, Path) else value
