"""`secateur search`: which subnetworks are worth their size."""

from __future__ import annotations

import numpy as np

from ..errors import InputError, unknown_name
from ..evaluation.archive import Archive, Evaluation
from ..evaluation.evaluator import Evaluated, Evaluator
from ..evaluation.objectives import ERROR, OBJECTIVES
from ..search_space import SearchSpace
from ..searchers import SEARCHERS, Searcher, make_searcher
from ..tasks import Task
from .console import duration, progress, say
from .rescore import SELECTION, rescore
from .run_folder import RunFolder, file_digest
from .settings import SearchCommand, SearchSettings
from .workspace import latency_target, make_evaluator, open_latency_table, open_supernet, open_task


def search(settings: SearchCommand) -> None:
    """Search the trained supernet; every evaluation is kept, and a later search adds to the same archive."""
    folder = RunFolder.open(settings.run)
    check(settings.search)
    search_stage(folder, open_task(folder), settings.search)


def check(settings: SearchSettings) -> tuple[str, ...]:
    """Return the objectives' names; refuse names that do not exist before anything is computed."""
    if settings.searcher not in SEARCHERS:
        raise unknown_name("searcher", settings.searcher, SEARCHERS)
    names = tuple(name.strip() for name in settings.objectives.split(","))
    for name in names:
        if name not in (ERROR, *OBJECTIVES):
            raise unknown_name("objective", name, (ERROR, *OBJECTIVES))
    if len(set(names)) != len(names) or len(names) < 2:
        raise InputError(f"--search-objectives needs at least two different objectives, got {settings.objectives!r}")
    return names


def search_stage(folder: RunFolder, task: Task, settings: SearchSettings) -> None:
    """Evaluate until the searcher has had its budget, then score the front on the report split."""
    names = check(settings)
    supernet, space = open_supernet(folder)
    basis = {
        "supernet": file_digest(folder.supernet / "model.safetensors"),
        "target": latency_target(supernet.model.config, settings.latency).name,
    }
    _check_same_basis(folder, settings, basis)
    table = open_latency_table(folder, supernet, settings.latency)
    with Archive(folder.archive) as archive:
        if _is_done(folder, archive, settings):
            say(f"search: complete, in {folder.archive}")
            return
        with folder.stage("search", settings, **basis):
            known = {e.key: e.values for e in archive.evaluations(split=SELECTION)}
            evaluator = make_evaluator(supernet, task, {SELECTION: task.selection}, table, settings, known)
            _search(folder, archive, evaluator, space, settings, names)
            rescore(folder, archive, supernet, task, table, settings)
    say(f"search: {duration(folder.seconds('search'))}, in {folder.archive}")


def _is_done(folder: RunFolder, archive: Archive, settings: SearchSettings) -> bool:
    """Tell whether the last search was this one and came to its end."""
    same = folder.record["stages"].get("search", {}).get("settings") == settings.model_dump(mode="json")
    return same and folder.complete("search") and len(archive) > 0


def _search(
    folder: RunFolder,
    archive: Archive,
    evaluator: Evaluator,
    space: SearchSpace,
    settings: SearchSettings,
    names: tuple[str, ...],
) -> None:
    sampler = space.sample_by_size if settings.sampling == "size" else space.sample
    seed = folder.project.seed
    searcher = make_searcher(
        settings.searcher, space.lower, space.upper, num_objectives=len(names), seed=seed, sampler=sampler
    )
    # Not the budget: a search is continued by asking for more.
    state_name = f"{settings.searcher} {seed} {space.name} {','.join(names)} {settings.sampling}"
    done, state = 0, archive.searcher_state(state_name)
    if state is not None:  # eight bytes count the points asked, the rest is the searcher's
        done = int.from_bytes(state[:8], "big")
        searcher.restore(state[8:])
    with progress(f"search ({settings.searcher})") as tick:
        while done < settings.budget:
            found = _step(searcher, evaluator, space, names)
            done += 1
            rows = [_row(one, x, space, settings.searcher, seed) for x, one in found]
            archive.add(rows, searcher_state=(state_name, done.to_bytes(8, "big") + searcher.state()))
            tick(done, settings.budget, f"{len(archive)} evaluated")


def _step(
    searcher: Searcher, evaluator: Evaluator, space: SearchSpace, names: tuple[str, ...]
) -> list[tuple[tuple[int, ...] | None, Evaluated]]:
    """Ask for a point, evaluate it, tell its values; return it and what came with it."""
    x = searcher.ask(1)[0]
    found = evaluator(space.mask(x))
    searcher.tell(x[None], np.array([[found[0].values[name] for name in names]]))
    return [(tuple(int(v) for v in x) if one.asked else None, one) for one in found]


def _row(one: Evaluated, x: tuple[int, ...] | None, space: SearchSpace, method: str, seed: int) -> Evaluation:
    return Evaluation(
        key=one.mask.key,
        mask=one.mask,
        x=x,
        space=space.name,
        method=method,
        seed=seed,
        split=SELECTION,
        values=one.values,
        seconds=one.seconds,
        asked=one.asked,
    )


def _check_same_basis(folder: RunFolder, settings: SearchSettings, basis: dict[str, str]) -> None:
    """Refuse to put numbers into an archive that cannot be compared with those it holds.

    Raises:
        InputError: the archive is of another supernet, another latency target or another precision.
    """
    before = folder.record["stages"].get("search")
    if before is None or not folder.archive.exists():
        return
    if before["supernet"] != basis["supernet"]:
        raise InputError(
            f"{folder.archive} holds evaluations of another supernet than {folder.supernet}; move the archive away, or "
            "restore that supernet"
        )
    if before["target"] != basis["target"]:
        raise InputError(
            f"the latencies in {folder.archive} are of {before['target']}, these would be of {basis['target']} "
            "(device, threads, batch size, sequence length, precision); search with those again, or move the archive "
            "away"
        )
    if before["settings"]["precision"] != settings.precision:
        raise InputError(
            f"the errors in {folder.archive} were computed with --search-precision {before['settings']['precision']}, "
            f"not {settings.precision}; search with that again, or move the archive away"
        )
