"""Which processes a search runs on: this one, workers that it starts, or those of a Dask cluster."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...errors import InputError
from ...evaluation.evaluation import SELECTION
from ...evaluation.evaluator import Evaluator, Outcomes, Pass
from ...evaluation.farm import Farm, LocalFarm
from ...evaluation.weights import Weights
from ...searchers import MOASHA
from ...tasks import Task
from ...tasks.split import Split
from ..basis import INT8, digest
from ..evaluators import split_errors
from ..folder import RunFolder
from ..latency import OnMachine, here
from ..project import device, load_solved, load_supernet, on_device
from ..settings.parsing import parse_vocabularies
from ..settings.search import FarmSettings, SearchSettings

if TYPE_CHECKING:
    from distributed import Client

_Farm = Farm[Pass, Outcomes]


def check_farming(settings: FarmSettings, search: SearchSettings) -> None:
    """Refuse contradictions, and workers without the library for them, before anything is computed.

    Raises:
        InputError: workers here and elsewhere at once, a tag without a cluster, workers for a search that cannot use
            them, or dask.distributed is not installed.
    """
    if settings.workers and settings.scheduler:
        raise InputError("`workers` starts workers here, `scheduler` uses those of a cluster; give one of the two")
    if search.searcher == MOASHA.name and (settings.workers or settings.scheduler):
        raise InputError("standard NAS (moasha) trains in one process; leave `workers` and `scheduler` out")
    if parse_vocabularies(search.vocabulary) and (settings.workers or settings.scheduler):
        raise InputError("workers read texts in all tokens; leave `workers` and `scheduler` out, or `vocabulary`")
    if search.precision == INT8 and (settings.workers or settings.scheduler):
        raise InputError("workers answer in PyTorch; leave `workers` and `scheduler` out, or `precision` int8")
    if settings.latency_tag and not settings.scheduler:
        raise InputError("`latency_tag` names workers of a cluster; give its `scheduler` too, or leave the tag out")
    if (settings.workers or settings.scheduler) and importlib.util.find_spec("distributed") is None:
        raise InputError("workers need dask.distributed; install it with: pip install 'secateur[distributed]'")


class Cluster:
    """The workers of a search, started or connected to when they are first needed; a context closes them.

    Raises:
        InputError: when first needed: no scheduler answers, or it runs other versions.
    """

    def __init__(self, settings: FarmSettings) -> None:
        self._settings = settings
        self._open = ExitStack()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @cached_property
    def _client(self) -> Client:
        from ...evaluation import dask_cluster  # here and below: only those who want workers have Dask

        if self._settings.scheduler:
            return self._open.enter_context(dask_cluster.connected(self._settings.scheduler))
        assert self._settings.workers is not None
        threads = max(1, torch.get_num_threads() // self._settings.workers)
        return self._open.enter_context(dask_cluster.local_cluster(self._settings.workers, threads))

    @contextmanager
    def farm(self, folder: RunFolder, task: Task, settings: SearchSettings, evaluator: Evaluator) -> Iterator[_Farm]:
        """Return where an evaluator's passes over the selection split run, until the context ends."""
        if not (self._settings.workers or self._settings.scheduler):
            yield LocalFarm(evaluator.run)
            return
        from ...evaluation.dask_farm import DaskFarm

        share = settings.prefix_mb // (self._settings.workers or 1)  # a cluster's workers have memory of their own
        farm: DaskFarm[Pass, Outcomes] = DaskFarm(
            self._client, _recipe(folder, task, settings.model_copy(update={"prefix_mb": share}))
        )
        try:
            there = f"{farm.workers} workers" if farm.workers else "no worker yet, waiting for one"
            folder.tell.say(f"search: {there}{f' at {self._settings.scheduler}' if self._settings.scheduler else ''}")
            yield farm
        finally:
            farm.close()

    @property
    def on_machine(self) -> OnMachine:
        """Calls a function with arguments on a worker with the tag, or here if there is no tag.

        Raises:
            InputError: when called: no worker has the tag; and what the function raises.
        """
        if self._settings.latency_tag is None:
            return here
        from ...evaluation.dask_cluster import run_tagged

        return partial(run_tagged, self._client, self._settings.latency_tag)


@dataclass(frozen=True)
class _Recipe:
    """What a worker is sent, once, to run passes of a search; the weights it reads from the run folder itself.

    Attributes:
        weights: the supernet's folder, or that of solved weights, the same path for all.
        digest: of the files of weights.
        task: with its selection split only.
        settings: the precision is resolved, so that all workers compute in the same.
        versions: of the packages that numbers depend on.
    """

    weights: Path
    digest: str | None
    task: Task
    settings: SearchSettings
    versions: dict[str, str]

    def __call__(self) -> Callable[[Pass], Outcomes]:
        """Make ready, on the worker.

        Raises:
            InputError: other versions, or the supernet is not there or another one.
        """
        if _versions() != self.versions:
            raise InputError(f"it runs {_listed(_versions())}, the search {_listed(self.versions)}; install the same")
        file = self.weights / "model.safetensors"
        if not file.is_file():
            raise InputError(f"it has no {file}; give all machines the run folder under the same path")
        if digest(self.weights) != self.digest:
            raise InputError(f"its {file} is another supernet; give all machines the same run folder")
        solved = self.settings.weights == Weights.SOLVED
        supernet = load_solved(self.weights, device()) if solved else on_device(load_supernet(self.weights))
        errors = split_errors(supernet, self.task, {SELECTION: self.task.selection}, self.settings)
        return Evaluator(errors, []).run


def _recipe(folder: RunFolder, task: Task, settings: SearchSettings) -> _Recipe:
    nothing = Split([], None, np.empty(0, np.int64))
    weights = folder.solved if settings.weights == Weights.SOLVED else folder.supernet
    return _Recipe(
        weights=weights.resolve(),
        digest=digest(weights),
        task=replace(task, train=nothing, report={}),
        settings=settings,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in ("secateur", "torch", "transformers")}


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
