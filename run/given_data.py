"""Data sets that are no files: handed in, or on the hub. They are copied into the run folder, as parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from .folder import DATA
from .settings.project import ProjectSettings

if TYPE_CHECKING:
    from datasets import DatasetDict

# What validation splits are called.
_VALIDATION = ("validation", "valid", "val", "dev")
_PUBLISHED = ("local", "tagging", "squad", "squad_v2")  # tasks that say how rows look, not which they are


def with_data(project: ProjectSettings) -> ProjectSettings:
    """Return what a run is about with the data set on the hub, if it names one, as files in its folder.

    Raises:
        InputError: a data set that cannot be had, or beside other data.
    """
    if project.dataset is None:
        if project.dataset_config is not None:
            raise InputError("`dataset_config` says which of several data sets of a name; give `dataset`, too")
        return project
    if project.task not in _PUBLISHED:
        raise InputError(
            f"the task {project.task} has data of its own, but `dataset` is {project.dataset}; give a task of "
            f"{', '.join(_PUBLISHED)}, or leave `dataset` out"
        )
    if project.data is not None:
        if (project.out / "run.json").is_file():  # it is the copy
            return project
        raise InputError("give `data` or `dataset`, not both")
    copied = stored_data(project.out, _from_hub(project.dataset, project.dataset_config))
    return project.model_copy(update={"data": copied})


def _from_hub(name: str, config: str | None) -> DatasetDict:
    import datasets  # a second, and only the hub needs it

    called = name if config is None else f"{name} {config}"
    try:
        with _no_bars():
            found: Any = datasets.load_dataset(name, config)
    except Exception as error:  # a name that is not there, several configurations, no network: errors of many libraries
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(
            f"cannot load the data set {called} ({type(error).__name__}: {reason}); check its name and configuration, "
            "go online once, or give files with `data`"
        ) from None
    return found


def stored_data(path: Path, data: Mapping[Any, Any]) -> Path:
    """Copy data of the user's into a run folder that is about to be made, as parquet files; return what is to be read.

    Args:
        path: the run folder.
        data: a `datasets.DatasetDict`: its `train`, and its validation split if it has one.

    Raises:
        InputError: no `train` split, or the folder holds something else.
    """
    if "train" not in data:
        raise InputError(
            f"a DatasetDict needs a split `train` (and perhaps `validation`), got {', '.join(map(str, data)) or 'none'}"
        )
    found = [name for name in _VALIDATION if name in data]
    if len(found) > 1:
        raise InputError(f"a DatasetDict has one validation split, got {', '.join(found)}; drop the others")
    folder = path / DATA
    if not (path / "run.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with _no_bars():
            for split, name in (("train", "train"), *(("validation", name) for name in found)):
                data[name].to_parquet(folder / f"{split}.parquet")
    return folder if found else folder / "train.parquet"


@contextmanager
def _no_bars() -> Iterator[None]:
    """Silence the progress bars of `datasets`, then restore them."""
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()
