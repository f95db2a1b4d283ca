"""The third stage: which subnetworks are worth their size."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, unknown_name
from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION
from ...evaluation.evaluator import Evaluator, Outcomes, Pass
from ...evaluation.farm import Farm
from ...evaluation.objectives import resolve_objective
from ...evaluation.weights import Weights
from ...search_space import SearchSpace
from ...search_space.spaces import Points
from ...searchers import SEARCHERS, Box, make_searcher
from ...tasks import Task
from ..basis import Basis
from ..evaluators import make_evaluator
from ..folder import RunFolder
from ..latency import latency_target, open_latency_table
from ..processes import check_alone
from ..project import open_supernet
from ..settings import FarmSettings, SearchSettings, StandardSettings
from ..telling import duration
from .report_split import rescore
from .search_loop import Plan, SearchLoop, known_values
from .standard import METHOD as STANDARD_NAS
from .standard import standard_stage
from .workers import Cluster


def check(settings: SearchSettings) -> tuple[str, ...]:
    """Return the objectives' names; refuse names that do not exist before anything is computed."""
    if settings.searcher not in SEARCHERS:
        raise unknown_name("searcher", settings.searcher, SEARCHERS)
    names = tuple(resolve_objective(name) for name in settings.objectives.split(","))
    if len(set(names)) != len(names) or len(names) < 2:
        raise InputError(f"`objectives` needs at least two different objectives, got {settings.objectives!r}")
    return names


def search_stage(
    folder: RunFolder, task: Task, settings: SearchSettings, standard: StandardSettings, farming: FarmSettings
) -> None:
    """Evaluate until the searcher has had its budget, then score the front on the report split."""
    check_alone("search")
    names = check(settings)
    with folder.writing(), Cluster(farming) as cluster:
        if settings.searcher == STANDARD_NAS:
            return standard_stage(folder, task, settings, standard)
        supernet, space = open_supernet(folder)
        target = cluster.on_machine(latency_target, supernet.model.config, settings.latency)
        basis = Basis.join(folder, target, settings.precision)
        settings = settings.model_copy(update={"precision": basis.dtype, "latency": basis.latency})
        table = open_latency_table(folder, supernet, target, cluster.on_machine)
        with Archive(folder.archive) as archive:
            if _is_done(folder, archive, settings):
                folder.tell.say(f"search: complete, in {folder.archive}")
                return
            with folder.stage("search", settings):
                evaluator = make_evaluator(
                    supernet,
                    task,
                    {SELECTION: task.selection},
                    table,
                    settings,
                    known_values(archive),
                    racing=settings.racing,
                )
                with cluster.farm(folder, task, settings, evaluator) as farm:
                    _search(folder, archive, evaluator, farm, space, settings, names)
                rescore(folder, archive, supernet, task, table, settings, cluster.on_machine)
    folder.tell.say(f"search: {duration(folder.seconds('search'))}, in {folder.archive}")


def _is_done(folder: RunFolder, archive: Archive, settings: SearchSettings) -> bool:
    """Tell whether the last search was this one and came to its end."""
    last = folder.record["stages"].get("search", {}).get("settings")
    same = last is not None and SearchSettings.model_validate(last) == settings
    return same and folder.complete("search") and bool(archive.evaluations(weights=Weights.SUPERNET))


def _search(
    folder: RunFolder,
    archive: Archive,
    evaluator: Evaluator,
    farm: Farm[Pass, Outcomes],
    space: SearchSpace,
    settings: SearchSettings,
    names: tuple[str, ...],
) -> None:
    sampler = space.sample_by_size if settings.sampling == "size" else space.sample
    seed, initial = folder.project.seed, _first_points(space, settings.warm_start)
    box = Box(space.lower, space.upper, num_objectives=len(names), seed=seed, initial=initial, sampler=sampler)
    searcher = make_searcher(settings.searcher, box)
    # Not the budget: a search is continued by asking for more.
    state_name = f"{settings.searcher} {seed} {space.name} {','.join(names)} {settings.sampling}"
    if settings.warm_start:
        state_name += f" warm {settings.warm_start}"
    plan = Plan(space, names, settings.searcher, seed, state_name)
    with folder.tell.progress(f"search ({settings.searcher})") as tick:
        SearchLoop(archive, searcher, evaluator, farm, plan, folder.tell).run(settings.budget, tick)


def _first_points(space: SearchSpace, cuts: int) -> Points | None:
    """Return what is asked first: uniform cuts of all sizes, the largest first; None for the searcher's own choice."""
    return np.array([space.uniform_cut(share) for share in np.linspace(1, 0, cuts + 1)[:-1]]) if cuts else None
