"""Standard NAS: each candidate is cut from the model the run began with and trained on its own, without a supernet.

MO-ASHA stops the hopeless after an epoch. This is what weight sharing saves, and what it is compared with.

Source: Klein et al., TMLR 2024, section 2 ("standard NAS").
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from ...errors import InputError
from ...evaluation.archive import Archive
from ...evaluation.evaluation import SELECTION, Evaluation
from ...evaluation.objectives import ERROR, OBJECTIVES, resolve_objective
from ...evaluation.weights import Weights
from ...search_space import SearchSpace, SubnetMask
from ...searchers import MOASHA, Box
from ...supernet.precision import resolve_precision
from ...supernet.stored.storage import load_tokenizer
from ...supernet.training.settings import FinetuneSettings
from ...tasks import Task
from ..archives import archive_of
from ..basis import INT8, Basis
from ..folder import RunFolder
from ..latency import latency_target, open_latency_table
from ..project import model_source, open_supernet, start_model
from ..report.report import write_report
from ..settings.search import SearchSettings, StandardSettings
from ..telling import duration
from ..vocabulary import Vocabularies
from .candidate import CandidateTrainer, Trained
from .diverging import ends_where_it_diverges
from .report_split import front_models, rescore
from .search_loop import pack, unpack

METHOD = MOASHA.name
STAGE = "standard"
EPOCHS = "epochs"  # beside a candidate's objectives: after how many it was stopped or done


def standard_stage(folder: RunFolder, task: Task, search: SearchSettings, standard: StandardSettings) -> None:
    """Train candidates until the searcher has had its budget, then score the front on the report split.

    Raises:
        InputError: the run has candidates that were trained or compared otherwise.
    """
    supernet, space = open_supernet(folder)
    _check_same_recipe(folder, search, standard)
    target = latency_target(supernet.model.config, search.latency)
    basis = Basis.join(folder, target, search.precision)
    if basis.dtype == INT8:
        raise InputError(
            "standard NAS (moasha) judges candidates while they are trained, in PyTorch, and the errors of this run "
            "are in int8; take another searcher, or another run"
        )
    search = search.model_copy(update={"precision": basis.dtype, "latency": basis.latency})
    table = open_latency_table(folder, supernet, target)
    with archive_of(folder) as archive:
        if _is_done(folder, archive, search):
            folder.tell.say(f"standard: complete, in {folder.archive}")
            return
        ending = ends_where_it_diverges(
            folder, STAGE, folder.state(STAGE), made=lambda: bool(archive.evaluations(weights=Weights.STANDARD))
        )
        with ending, folder.stage(STAGE, standard, search=search.model_dump(mode="json")):
            costs = {name: make(supernet, table).of for name, make in OBJECTIVES.items()}
            trainer = _load_trainer(folder, task, search, standard)
            _search(folder, archive, trainer, space, costs, search)
            rescore(folder, archive, supernet, Vocabularies(folder, task), table, search)
            shutil.rmtree(trainer.state, ignore_errors=True)
        page = write_report(folder, archive)
    folder.tell.say(f"standard: {duration(folder.seconds(STAGE))}, in {folder.archive}; report: {page}")


def _is_done(folder: RunFolder, archive: Archive, search: SearchSettings) -> bool:
    """Tell whether the last standard search was this one and came to its end."""
    there = folder.record["stages"].get(STAGE, {})
    same = there.get("search") == search.model_dump(mode="json")
    return same and there["complete"] and bool(archive.evaluations(weights=Weights.STANDARD))


def _check_same_recipe(folder: RunFolder, search: SearchSettings, standard: StandardSettings) -> None:
    """Refuse candidates that are trained or stopped otherwise than those of the archive."""
    stage = folder.record["stages"].get(STAGE)
    if stage is None or not folder.archive.exists():
        return
    mine = standard.model_dump(mode="json", exclude={"save_seconds"})
    mine |= search.model_dump(mode="json", include={"objectives", "sampling"})
    there = stage["search"] | stage["settings"]
    for name, value in mine.items():
        if there[name] != value:
            raise InputError(
                f"{folder.archive} holds candidates with {name.replace('_', ' ')} {there[name]!r}, these would have "
                f"{value!r}; search with that again, or choose another `out` for another run"
            )


def _search(
    folder: RunFolder,
    archive: Archive,
    trainer: CandidateTrainer,
    space: SearchSpace,
    costs: dict[str, Callable[[SubnetMask], float]],
    search: SearchSettings,
) -> None:
    names = [resolve_objective(name) for name in search.objectives.split(",")]
    seed = folder.project.seed
    sampler = space.sample_by_size if search.sampling == "size" else space.sample
    searcher = MOASHA(Box(space.lower, space.upper, num_objectives=len(names), seed=seed, sampler=sampler))
    state_name = f"{METHOD} {seed} {space.name} {','.join(names)} {search.sampling}"
    done, state = 0, archive.searcher_state(state_name)
    if state is not None:
        done, _, remembered = unpack(state, space.dimensions)
        searcher.restore(remembered)
    with folder.tell.progress("standard NAS (moasha)") as tick:
        while done < search.budget:
            x = searcher.ask(1)[0]
            mask = space.mask(x)
            values = {name: float(cost(mask)) for name, cost in costs.items()}
            known = archive.lookup(mask.key, SELECTION, method=METHOD, weights=Weights.STANDARD)
            if known is None:
                judge = _judge(searcher, names, x, values, partial(tick, done, search.budget))
                trained = trainer.train(mask, judge)
            else:  # another point of the same subnetwork
                trained = Trained(known.values[ERROR], int(known.values[EPOCHS]), 0.0)
            values |= {ERROR: trained.error, EPOCHS: float(trained.epochs)}
            searcher.tell(x[None], np.array([[values[name] for name in names]]))
            done += 1
            row = _row(mask, tuple(int(v) for v in x), space.name, seed, values, trained.seconds)
            archive.add([row], searcher_state=(state_name, pack(done, [], searcher.state())))
            _forget(folder, archive, SubnetMask.full(space.shape).key)
            tick(done, search.budget, f"{mask.key}, error {trained.error:.4f}")


def _judge(
    searcher: MOASHA, names: list[str], x: np.ndarray, costs: dict[str, float], report: Callable[[str], None]
) -> Callable[[int, float], bool]:
    """Return what tells after an epoch of a candidate, from its error, whether there shall be another."""

    def keep_going(epoch: int, error: float) -> bool:
        report(f"epoch {epoch}, error {error:.4f}")
        values = costs | {ERROR: error}
        return searcher.keep_going(x, epoch, [values[name] for name in names])

    return keep_going


def _row(
    mask: SubnetMask, x: tuple[int, ...], space: str, seed: int, values: dict[str, float], seconds: float
) -> Evaluation:
    return Evaluation(
        key=mask.key,
        mask=mask,
        x=x,
        space=space,
        method=METHOD,
        seed=seed,
        split=SELECTION,
        values=values,
        seconds=seconds,
        asked=True,
        weights=Weights.STANDARD,
    )


def _forget(folder: RunFolder, archive: Archive, whole: str) -> None:
    """Remove the weights of candidates that are on no front; what is dominated once is so for ever."""
    kept = {one.key for one in front_models(archive, whole) if one.weights is Weights.STANDARD}
    for key in {one.key for one in archive.evaluations(split=SELECTION, weights=Weights.STANDARD)} - kept:
        shutil.rmtree(folder.standard / key, ignore_errors=True)


def _load_trainer(
    folder: RunFolder, task: Task, search: SearchSettings, standard: StandardSettings
) -> CandidateTrainer:
    return CandidateTrainer(
        model=start_model(folder, task),
        tokenizer=load_tokenizer(model_source(folder.project)),
        task=task,
        settings=FinetuneSettings(**standard.model_dump()),
        seed=folder.project.seed,
        dtype=resolve_precision(search.precision, torch.device("cuda" if torch.cuda.is_available() else "cpu")),
        state=folder.state(STAGE),
        weights=folder.standard,
    )
