"""The third stage: which subnetworks are worth their size."""

from __future__ import annotations

import numpy as np

from ...errors import InputError, unknown_name
from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION
from ...evaluation.evaluator import Evaluator, Outcomes, Pass
from ...evaluation.farm import Farm
from ...evaluation.latency import LatencyTable
from ...evaluation.objectives import ERROR, OBJECTIVES, resolve_objective
from ...evaluation.weights import Weights
from ...pruners.block_losses import DEAREST, BlockLosses
from ...search_space import SPACES, SearchSpace, SubnetMask, WithVocabularies
from ...search_space.spaces import Points
from ...searchers import SEARCHERS, Box, make_searcher
from ...supernet import Supernet
from ...tasks import Task
from ..archives import archive_of
from ..basis import INT8, Basis, check_served
from ..evaluators import make_evaluator
from ..folder import RunFolder
from ..latency import latency_target, open_latency_table
from ..processes import check_alone
from ..project import open_supernet
from ..settings.parsing import parse_vocabularies
from ..settings.search import FarmSettings, SearchSettings, StandardSettings
from ..telling import duration
from ..vocabulary import Vocabularies
from .report_split import rescore
from .search_loop import Plan, SearchLoop, known_values
from .solved import open_solved
from .standard import METHOD as STANDARD_NAS
from .standard import standard_stage
from .workers import Cluster, check_farming

_STAGES = {Weights.SUPERNET: "search", Weights.SOLVED: "solved_search"}
_BLOCKS = 7  # what a seed is drawn for


def check(settings: SearchSettings) -> tuple[str, ...]:
    """Return the objectives' names; refuse names that do not exist before anything is computed."""
    if settings.searcher not in SEARCHERS:
        raise unknown_name("searcher", settings.searcher, SEARCHERS)
    if settings.space is not None and settings.space not in SPACES:
        raise unknown_name("space", settings.space, SPACES)
    if settings.weights == Weights.SOLVED and settings.searcher == STANDARD_NAS:
        raise InputError(
            "standard NAS (moasha) trains its candidates; give `weights` supernet, or take another searcher"
        )
    if parse_vocabularies(settings.vocabulary) and settings.searcher == STANDARD_NAS:
        raise InputError(
            "standard NAS (moasha) trains its candidates with all tokens; leave `vocabulary` out, and give it when one "
            "is exported"
        )
    if settings.precision == INT8:
        check_served(INT8, settings.latency.runtime)
        if settings.searcher == STANDARD_NAS:
            raise InputError(
                "standard NAS (moasha) judges candidates while they are trained, in PyTorch; leave `precision` int8 "
                "out, or take another searcher"
            )
        if settings.racing:
            raise InputError("racing stops passes half way, which files in int8 do not; leave `racing` out")
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
        vocabularies = Vocabularies(folder, task)
        tokens = vocabularies.offered(parse_vocabularies(settings.vocabulary))
        weights, stage = Weights(settings.weights), _STAGES[Weights(settings.weights)]
        if weights is Weights.SOLVED:
            supernet, space = open_solved(folder, task, settings.space)
            settings = settings.model_copy(update={"space": space.name})
        else:
            supernet, space = open_supernet(folder)
            if settings.space not in (None, space.name):
                raise InputError(
                    f"the supernet is for the space {space.name}, not {settings.space}; give `space` {space.name}, or "
                    "`weights` solved, which need no supernet"
                )
            settings = settings.model_copy(update={"space": None})
        target = cluster.on_machine(latency_target, supernet.model.config, settings.latency)
        basis = Basis.join(folder, target, settings.precision)
        settings = settings.model_copy(update={"precision": basis.dtype, "latency": basis.latency})
        check(settings)  # once more: errors in int8 may be the archive's
        check_farming(farming, settings)
        table = open_latency_table(folder, supernet, target, cluster.on_machine)
        with archive_of(folder) as archive:
            if _is_done(folder, archive, settings):
                folder.tell.say(f"search: complete, in {folder.archive}")
                return
            with folder.stage(stage, settings):
                initial = _first_points(folder, supernet, task, table, space, settings, names)
                box = WithVocabularies(space, tokens) if tokens else space
                if isinstance(box, WithVocabularies) and initial is not None:
                    initial = box.in_turn(initial)
                evaluator = make_evaluator(
                    supernet,
                    task,
                    {SELECTION: task.selection},
                    table,
                    settings,
                    known_values(archive, weights),
                    racing=settings.racing,
                    spelled={one: {SELECTION: vocabularies.uncut_task(one).selection} for one in tokens},
                )
                with cluster.farm(folder, task, settings, evaluator) as farm:
                    _search(folder, archive, evaluator, farm, box, settings, names, initial)
                rescore(folder, archive, supernet, vocabularies, table, settings, cluster.on_machine)
    folder.tell.say(f"search: {duration(folder.seconds(stage))}, in {folder.archive}")


def _is_done(folder: RunFolder, archive: Archive, settings: SearchSettings) -> bool:
    """Tell whether the last search was this one and came to its end."""
    weights, stage = Weights(settings.weights), _STAGES[Weights(settings.weights)]
    last = folder.record["stages"].get(stage, {}).get("settings")
    same = last is not None and SearchSettings.model_validate(last) == settings
    return same and folder.complete(stage) and bool(archive.evaluations(weights=weights))


def _search(
    folder: RunFolder,
    archive: Archive,
    evaluator: Evaluator,
    farm: Farm[Pass, Outcomes],
    space: SearchSpace | WithVocabularies,
    settings: SearchSettings,
    names: tuple[str, ...],
    initial: Points | None,
) -> None:
    sampler = space.sample_by_size if settings.sampling == "size" else space.sample
    seed = folder.project.seed
    box = Box(space.lower, space.upper, num_objectives=len(names), seed=seed, initial=initial, sampler=sampler)
    searcher = make_searcher(settings.searcher, box)
    # Not the budget: a search is continued by asking for more.
    state_name = f"{settings.searcher} {seed} {space.name} {','.join(names)} {settings.sampling}"
    if settings.warm_start:
        state_name += f" warm {settings.warm_start}" + (" blocks" if settings.warm_from == "blocks" else "")
    if settings.weights != Weights.SUPERNET:
        state_name += f" {settings.weights}"
    if isinstance(space, WithVocabularies):
        state_name += f" vocabulary {','.join(f'{one.count}-{one.digest}' for one in space.tokens)}"
    plan = Plan(space, names, settings.searcher, seed, state_name, Weights(settings.weights))
    with folder.tell.progress(f"search ({settings.searcher})") as tick:
        SearchLoop(archive, searcher, evaluator, farm, plan, folder.tell).run(settings.budget, tick)


def _first_points(
    folder: RunFolder,
    supernet: Supernet,
    task: Task,
    table: LatencyTable,
    space: SearchSpace,
    settings: SearchSettings,
    names: tuple[str, ...],
) -> Points | None:
    """Return what is asked first, of all sizes, the largest first; None for the searcher's own choice."""
    if not settings.warm_start:
        return None
    shares = np.linspace(1, 0, settings.warm_start + 1)[:-1]
    if settings.warm_from == "cuts":
        return np.array([space.uniform_cut(share) for share in shares])
    cost = OBJECTIVES[next(name for name in names if name != ERROR)](supernet, table).of
    whole = cost(SubnetMask.full(supernet.shape))
    losses = BlockLosses.on(supernet, task, np.random.default_rng([folder.project.seed, _BLOCKS]))
    found = losses.allocations(cost, DEAREST)  # nothing looks at several: the one least often misled
    smallest = float(found.costs.min())
    return np.array([space.nearest(found.best(max(share * whole, smallest))) for share in shares])
